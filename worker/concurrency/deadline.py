"""One end for the whole of a piece of work, however many waits it is made of."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

from worker.errors import ResourceUnavailableError

Result = TypeVar("Result")


class Deadline:
    """A moment from which on nothing more is waited for."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin to count."""
        self.seconds = seconds
        self._clock = clock
        self._end = clock() + seconds

    def remaining(self) -> float:
        """Return the seconds that are left, never 0; TimeoutError where none are."""
        left = self._end - self._clock()
        if left <= 0:
            raise TimeoutError(f"not done within {self.seconds:g} seconds")
        return left

    def shorten(self, seconds: float) -> None:
        """End after this long from now, unless the end comes earlier anyway."""
        self._end = min(self._end, self._clock() + seconds)

    def await_result(self, work: Callable[[], Result]) -> Result:
        """Do work that knows no timeout of its own; TimeoutError if it takes too long.

        ResourceUnavailableError if this machine cannot start a thread for it. Work that is overtaken goes on
        in its own thread until it ends by itself; its result is dropped.
        """
        future: Future[Result] = Future()

        def run() -> None:
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001 - raised again where the result is asked for
                future.set_exception(error)

        try:
            Thread(target=run, name="within-deadline", daemon=True).start()
        except RuntimeError as problem:
            raise ResourceUnavailableError("threads", f"no thread can be started: {problem}") from problem
        return future.result(self.remaining())
