"""Runs child processes that never outlive the block that starts them."""

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
    """Run `command` while the block runs, with its output in `log`; then stop it: SIGTERM, then SIGKILL."""
    process: subprocess.Popen[bytes] | None = None
    with log.open("wb") as output:
        try:
            # If a signal interrupts Popen, it leaves behind a process without a handle.
            with deferred_signals():
                process = subprocess.Popen(
                    [str(part) for part in command],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=os.environ | dict(environment or {}),
                    # Ctrl-C goes to this process alone, which then stops its children in order.
                    start_new_session=True,
                )
            yield process
        finally:
            if process is not None:
                _stop(process)


@contextmanager
def deferred_signals() -> Iterator[None]:
    """Defer SIGINT, SIGTERM and SIGHUP to the end of the block; does nothing outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    # Only Python handlers are replaced: a child inherits an ignored signal, and needs the kernel's default.
    deferred = {number: handler for number, handler in before.items() if callable(handler)}
    try:
        for number in deferred:
            signal.signal(number, lambda caught, _frame: received.append(caught))
        yield
    finally:
        for number, handler in deferred.items():
            signal.signal(number, handler)
        for caught in received:
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
        # Also if a second Ctrl-C interrupts the wait.
        if process.poll() is None:
            process.kill()
            process.wait()


def _end_of(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])
