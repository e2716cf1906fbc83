"""A gate that many pass together, or one alone: what may kill this process takes no neighbour with it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition


class Gate:
    """Nobody waits for ever: who waits to be alone goes before newcomers, and those who waited go next."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._inside = 0
        self._is_alone = False
        self._to_be_alone = 0
        self._to_be_together = 0
        #: How many of those who wait to be together go before the next one who wants to be alone.
        self._passes = 0

    @contextmanager
    def together(self) -> Iterator[None]:
        """Be inside with others who are inside together, but with nobody who is alone."""
        with self._changed:
            self._to_be_together += 1
            try:
                self._changed.wait_for(self._opens_to_many)
                self._inside += 1
            finally:
                self._to_be_together -= 1
                self._passes = max(self._passes - 1, 0)
        try:
            yield
        finally:
            self._leave(self._one_fewer)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be inside with nobody else."""
        with self._changed:
            self._to_be_alone += 1
            try:
                self._changed.wait_for(self._opens_to_one)
                self._is_alone = True
            finally:
                self._to_be_alone -= 1
        try:
            yield
        finally:
            self._leave(self._nobody)

    def _opens_to_many(self) -> bool:
        return not self._is_alone and (self._to_be_alone == 0 or self._passes > 0)

    def _opens_to_one(self) -> bool:
        return not self._is_alone and self._inside == 0 and self._passes == 0

    def _one_fewer(self) -> None:
        self._inside -= 1

    def _nobody(self) -> None:
        self._is_alone = False
        self._passes = self._to_be_together

    def _leave(self, leave: Callable[[], None]) -> None:
        with self._changed:
            leave()
            self._changed.notify_all()
