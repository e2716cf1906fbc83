"""A circuit breaker for places of pictures, so that not every thread waits for the same timeout."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from worker.errors import SourceUnavailableError, UnavailableError

log = logging.getLogger(__name__)

#: An unavailable place is tried once in this interval; other reads fail at once.
TRY_SECONDS: Final = 5.0
#: The log line about an outage repeats at this interval, not for each picture.
REMIND_SECONDS: Final = 60.0


@dataclass(slots=True)
class _Outage:
    error: SourceUnavailableError
    since: float
    next_try: float
    next_reminder: float


class Outages:
    """The places read from so far, and which of them are unavailable. Safe to use from many threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._outages: dict[str, _Outage | None] = {}

    @contextmanager
    def reading(self, place: str) -> Iterator[None]:
        """Read from `place` in the block; SourceUnavailableError at once if it is known to be unavailable.

        The place counts as available if the block succeeds, or fails because of the picture.
        """
        self._refuse_between_tries(place)
        try:
            yield
        except SourceUnavailableError as error:
            self._begin(place, error)
            raise
        except UnavailableError:
            raise
        except Exception:
            self._end(place)
            raise
        self._end(place)

    @property
    def up(self) -> Mapping[str, bool]:
        """Whether each place answered when it was last read."""
        with self._lock:
            return {place: outage is None for place, outage in self._outages.items()}

    def _refuse_between_tries(self, place: str) -> None:
        with self._lock:
            outage = self._outages.get(place)
            if outage is None:
                return
            now = self._clock()
            if now < outage.next_try:
                known = outage.error
                raise SourceUnavailableError(known.resource, known.message, hint=known.hint)
            # One thread tries; the others go on with pictures from other places.
            outage.next_try = now + TRY_SECONDS

    def _begin(self, place: str, error: SourceUnavailableError) -> None:
        with self._lock:
            now = self._clock()
            outage = self._outages.get(place) or _Outage(error, now, now, now)
            outage.error, outage.next_try = error, now + TRY_SECONDS
            self._outages[place] = outage
            is_due = now >= outage.next_reminder
            if is_due:
                outage.next_reminder = now + REMIND_SECONDS
        if is_due:
            lasted = f" for {now - outage.since:.0f} s" if now > outage.since else ""
            log.error("%s is unavailable%s, its submissions wait: %s", place, lasted, error.message)

    def _end(self, place: str) -> None:
        with self._lock:
            outage = self._outages.get(place)
            self._outages[place] = None
        if outage:
            log.warning("%s is available again after %.0f s", place, self._clock() - outage.since)
