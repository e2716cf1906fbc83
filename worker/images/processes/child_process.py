"""One child process that decodes, and our end of the connection to it."""

import socket
import subprocess
import tempfile
import time
from typing import Any, Final

from worker import child_python
from worker.errors import ResourceUnavailableError
from worker.images.processes.messages import BrokenMessageError, receive, send

#: What operators call the child processes.
RESOURCE: Final = "the decoders"
#: Importing Pillow and numpy, on a machine that is busy with other things.
_START_SECONDS: Final = 60.0
#: Saying that one is there, on such a machine.
_ANSWER_SECONDS: Final = 10.0
#: Between a child closing its end and the kernel knowing how it ended.
_END_SECONDS: Final = 5.0
_ONE_THREAD: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
#: glibc gives freed memory back to the kernel at once, and for each picture a thousand pages would be faulted
#: in anew: a fifth of a child's time. It keeps so much; what a larger picture took still goes back.
_MALLOC: Final = {"MALLOC_MMAP_THRESHOLD_": str(16 * 2**20), "MALLOC_TRIM_THRESHOLD_": str(64 * 2**20)}


class ChildProcess:
    """A process that decodes one picture after another; one thread at a time uses it."""

    def __init__(self, command: list[str]) -> None:
        self.pictures = 0
        self._ready = False
        # What it says when it cannot even start; it cannot write there once its limits stand.
        self._last_words = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the child
        try:
            self._connection, theirs = socket.socketpair()
        except OSError:
            self._last_words.close()
            raise
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own module, by our own Python
                command,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=self._last_words,
                env=child_python.bare_environment() | _ONE_THREAD | _MALLOC,
                # Ctrl-C is for us.
                start_new_session=True,
            )
        except OSError:
            self._connection.close()
            self._last_words.close()
            raise
        finally:
            theirs.close()

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    def answers(self) -> bool:
        """Whether it is there; one that has yet to start counts as there."""
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
        """Return once it can decode; ResourceUnavailableError if it does not start."""
        if self._ready:
            return
        try:
            receive(self._connection, most_bytes=0, deadline=time.monotonic() + _START_SECONDS)
        except (OSError, EOFError, BrokenMessageError) as problem:
            raise ResourceUnavailableError(
                RESOURCE,
                f"a decoding process does not start: {self._why_not(problem)}",
                hint="it imports Pillow and numpy within MODERATION_DECODER_MEMORY_BYTES",
            ) from problem
        self._ready = True

    def ask(
        self, request: dict[str, Any], data: bytes, most_bytes: int, seconds: float
    ) -> tuple[dict[str, Any], bytearray]:
        """Return the answer about a picture; TimeoutError, EOFError or OSError if none comes."""
        self.pictures += 1
        deadline = time.monotonic() + seconds
        send(self._connection, request, data, deadline=deadline)
        return receive(self._connection, most_bytes=most_bytes, deadline=deadline)

    def exit_code(self) -> int:
        """Return how a child that no longer answers ended: minus the signal's number, or its exit code."""
        try:
            return self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self.stop()
            return self._process.returncode

    def stop(self) -> None:
        """Kill it; a thread that waits for its answer gets EOFError."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Kill it, and free what belongs to it."""
        self.stop()
        self._connection.close()
        self._last_words.close()

    def _why_not(self, problem: Exception) -> str:
        if isinstance(problem, TimeoutError):
            return f"it was not ready after {_START_SECONDS:g} s"
        code = self.exit_code()
        self._last_words.seek(0)
        said = self._last_words.read().decode(errors="replace").split("\n")
        return next((line for line in reversed(said) if line.strip()), f"it left with exit code {code}")
