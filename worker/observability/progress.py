"""What this process has in hand, since when, and when it last began or ended something."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a process is, at one moment; every age in seconds."""

    in_hand: int
    #: What has been in hand longest, and for how long; None and 0 where nothing is.
    oldest: str | None
    oldest_seconds: float
    begun: int
    ended: int
    #: Since a job began or ended; since the process started where none has.
    quiet_seconds: float


class Progress:
    """Notes each job as it begins and ends; for many threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._in_hand: dict[int, tuple[str, float]] = {}
        self._begun = self._ended = 0
        self._moved_at = clock()

    @contextmanager
    def job(self, name: str) -> Iterator[None]:
        """Have a job in hand while the context lasts."""
        with self._lock:
            self._begun += 1
            number = self._begun
            self._moved_at = self._clock()
            self._in_hand[number] = (name, self._moved_at)
        try:
            yield
        finally:
            with self._lock:
                self._ended += 1
                self._moved_at = self._clock()
                del self._in_hand[number]

    def standing(self) -> Standing:
        """Return how far this process is."""
        with self._lock:
            now = self._clock()
            # Numbers are given in order, and a dict keeps it: the first is the oldest.
            oldest, since = next(iter(self._in_hand.values()), (None, now))
            return Standing(
                len(self._in_hand), oldest, now - since, self._begun, self._ended, now - self._moved_at
            )
