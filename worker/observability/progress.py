"""Counts the jobs of this process that are in flight, and how long ago one started or ended."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProgressSnapshot:
    """Progress of a process at one moment; all ages in seconds."""

    in_flight: int
    #: The job that has been in flight longest, and for how long; None and 0 if no job is.
    oldest: str | None
    oldest_seconds: float
    begun: int
    ended: int
    #: Since a job began or ended; since the process started if none has.
    quiet_seconds: float


class Progress:
    """Tracks jobs as they begin and end; thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._in_flight: dict[int, tuple[str, float]] = {}
        self._begun = self._ended = 0
        self._moved_at = clock()

    @contextmanager
    def job(self, name: str) -> Iterator[None]:
        """Count a job as in flight while the context lasts."""
        with self._lock:
            self._begun += 1
            number = self._begun
            self._moved_at = self._clock()
            self._in_flight[number] = (name, self._moved_at)
        try:
            yield
        finally:
            with self._lock:
                self._ended += 1
                self._moved_at = self._clock()
                del self._in_flight[number]

    def snapshot(self) -> ProgressSnapshot:
        """Return the current progress."""
        with self._lock:
            now = self._clock()
            # Numbers ascend, and a dict keeps its order: the first is the oldest.
            oldest, since = next(iter(self._in_flight.values()), (None, now))
            return ProgressSnapshot(
                len(self._in_flight), oldest, now - since, self._begun, self._ended, now - self._moved_at
            )
