"""Child processes that never outlive the block that started them."""

import os
import subprocess
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
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | dict(environment or {}),
            # Ctrl-C is for us; we then stop our children in order.
            start_new_session=True,
        )
        try:
            yield process
        finally:
            _stop(process)


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
