"""One deadline for a task that waits several times."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

from worker.errors import ResourceUnavailableError

Result = TypeVar("Result")


class Deadline:
    """The moment at which waiting ends."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Start the clock."""
        self.seconds = seconds
        self._clock = clock
        self._end = clock() + seconds

    def remaining(self) -> float:
        """Return the seconds that are left, always above 0; TimeoutError if the deadline has passed."""
        left = self._end - self._clock()
        if left <= 0:
            raise TimeoutError(f"not done within {self.seconds:g} seconds")
        return left

    def shorten(self, seconds: float) -> None:
        """Move the deadline to `seconds` from now, unless it is earlier."""
        self._end = min(self._end, self._clock() + seconds)

    def await_result(self, work: Callable[[], Result]) -> Result:
        """Run `work`, which has no timeout itself, in a thread; TimeoutError if the deadline passes.

        ResourceUnavailableError if this machine cannot start a thread. Work that misses the deadline runs on
        in its thread until it ends; its result is dropped.
        """
        future: Future[Result] = Future()

        def run() -> None:
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001 - raised again by `future.result`
                future.set_exception(error)

        try:
            Thread(target=run, name="within-deadline", daemon=True).start()
        except RuntimeError as problem:
            raise ResourceUnavailableError("threads", f"no thread can be started: {problem}") from problem
        return future.result(self.remaining())
