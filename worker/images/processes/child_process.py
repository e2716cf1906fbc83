"""One decoding child process, and the parent's end of the connection to it."""

import socket
import subprocess
import tempfile
import time
from typing import Any, Final

from worker import child_python
from worker.errors import ResourceUnavailableError
from worker.images.processes.messages import BrokenMessageError, receive, send

#: What metrics and `moderate status` call the child processes.
RESOURCE: Final = "the decoders"
#: Time limit for importing Pillow and numpy on a busy machine.
_START_SECONDS: Final = 60.0
#: Time limit for answering a ping on a busy machine.
_ANSWER_SECONDS: Final = 10.0
#: From a child closing its end until the kernel has its exit status.
_END_SECONDS: Final = 5.0
_ONE_THREAD: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
#: By default glibc returns freed memory to the kernel at once, and each picture faults in a thousand pages: a
#: fifth of a child's time. With these thresholds it keeps that much, and returns what a larger picture took.
_MALLOC: Final = {"MALLOC_MMAP_THRESHOLD_": str(16 * 2**20), "MALLOC_TRIM_THRESHOLD_": str(64 * 2**20)}


class ChildProcess:
    """A process that decodes one picture after another, for one thread at a time."""

    def __init__(self, command: list[str]) -> None:
        self.pictures = 0
        self._ready = False
        # Errors of a child that cannot start; once its limits are set it cannot write there.
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the child
        try:
            self._connection, theirs = socket.socketpair()
        except OSError:
            self._stderr.close()
            raise
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our module, by this Python
                command,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=self._stderr,
                env=child_python.bare_environment() | _ONE_THREAD | _MALLOC,
                # Ctrl-C is for the parent.
                start_new_session=True,
            )
        except OSError:
            self._connection.close()
            self._stderr.close()
            raise
        finally:
            theirs.close()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def answers(self) -> bool:
        """Whether it answers a ping; one that is still starting counts as alive."""
        if not self._ready:
            return True
        deadline = time.monotonic() + _ANSWER_SECONDS
        try:
            send(self._connection, {}, deadline=deadline)
            receive(self._connection, most_bytes=0, deadline=deadline)
        except (OSError, EOFError, BrokenMessageError):
            return False
        return True

    def wait_until_ready(self) -> None:
        """Block until it can decode; ResourceUnavailableError if it does not start."""
        if self._ready:
            return
        try:
            receive(self._connection, most_bytes=0, deadline=time.monotonic() + _START_SECONDS)
        except (OSError, EOFError, BrokenMessageError) as problem:
            raise ResourceUnavailableError(
                RESOURCE,
                f"a decoding process does not start: {self._start_failure(problem)}",
                hint="MODERATION_DECODER_MEMORY_BYTES must leave room to import Pillow and numpy",
            ) from problem
        self._ready = True

    def ask(
        self, request: dict[str, Any], data: bytes, most_bytes: int, seconds: float
    ) -> tuple[dict[str, Any], bytearray]:
        """Send a picture and return the answer; TimeoutError, EOFError or OSError if none arrives."""
        self.pictures += 1
        deadline = time.monotonic() + seconds
        send(self._connection, request, data, deadline=deadline)
        return receive(self._connection, most_bytes=most_bytes, deadline=deadline)

    def exit_code(self) -> int:
        """Return the exit code of a child that no longer answers, or minus the signal that killed it."""
        try:
            return self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self.stop()
            return self._process.returncode

    def stop(self) -> None:
        """Kill it; a thread waiting for its answer gets EOFError."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Kill it and close its files."""
        self.stop()
        self._connection.close()
        self._stderr.close()

    def _start_failure(self, problem: Exception) -> str:
        if isinstance(problem, TimeoutError):
            return f"it was not ready after {_START_SECONDS:g} s"
        code = self.exit_code()
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), f"it exited with code {code}")
