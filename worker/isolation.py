"""Lets pieces of work run side by side, and now and then one that must run alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition


class Isolation:
    """A gate of one process: many pass together, or one alone; who must be alone is never starved."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._together = 0
        self._alone = False
        self._want_to_be_alone = 0

    @contextmanager
    def together(self) -> Iterator[None]:
        """Work beside others; waits while one works alone, or waits to."""
        with self._changed:
            self._changed.wait_for(lambda: not self._alone and not self._want_to_be_alone)
            self._together += 1
        try:
            yield
        finally:
            with self._changed:
                self._together -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Work while nothing else does; waits until all that has begun has ended."""
        with self._changed:
            self._want_to_be_alone += 1
            try:
                self._changed.wait_for(lambda: not self._alone and not self._together)
                self._alone = True
            finally:
                self._want_to_be_alone -= 1
        try:
            yield
        finally:
            with self._changed:
                self._alone = False
                self._changed.notify_all()
