"""Child processes that never outlive the block that started them."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from worker.errors import UnavailableError

STOP_SECONDS = 20


@contextmanager
def running(
    command: Sequence[str | Path], *, log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `command` while the block runs, its output in `log`; then SIGTERM, and SIGKILL if need be."""
    process: subprocess.Popen[bytes] | None = None
    with log.open("wb") as output:
        try:
            # Interrupted in its midst, Popen leaves behind a process that nobody knows of.
            with holding_signals_back():
                process = subprocess.Popen(
                    [str(part) for part in command],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=os.environ | dict(environment or {}),
                    # Ctrl-C is for us; we then stop our children in order.
                    start_new_session=True,
                )
            yield process
        finally:
            if process is not None:
                _stop(process)


@contextmanager
def holding_signals_back() -> Iterator[None]:
    """Heed what would interrupt us only at the end of the block; other threads are never interrupted."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    # What is ignored or left to the kernel stays so: a child would inherit the one and not know the other.
    held = {number: handler for number, handler in before.items() if callable(handler)}
    try:
        for number in held:
            signal.signal(number, lambda caught, _frame: came.append(caught))
        yield
    finally:
        for number, handler in held.items():
            signal.signal(number, handler)
        for caught in came:
            signal.raise_signal(caught)


def wait_until(
    ready: Callable[[], bool],
    *,
    process: subprocess.Popen[bytes],
    log: Path,
    what: str,
    timeout_seconds: float,
) -> None:
    """Wait for `ready()`; UnavailableError with the log's end if the process dies or takes too long."""
    deadline = time.monotonic() + timeout_seconds
    while not ready():
        if process.poll() is not None:
            raise UnavailableError(f"{what} stopped with exit code {process.returncode}:\n{_end_of(log)}")
        if time.monotonic() > deadline:
            raise UnavailableError(f"{what} was not ready after {timeout_seconds:g} s:\n{_end_of(log)}")
        time.sleep(0.05)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
    finally:
        # Also when Ctrl-C is pressed a second time, out of impatience.
        if process.poll() is None:
            process.kill()
            process.wait()


def _end_of(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])
