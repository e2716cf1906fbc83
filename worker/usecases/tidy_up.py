"""Forgets what is over: desk sessions, failed logins, where settled pictures were, events, phrases."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from worker.background import repeated
from worker.store import desk_sessions, dropped_messages, login_failures, outbox, review_sources, text_vectors
from worker.store.database import Database

_EVERY_SECONDS: Final = 60.0
#: Events forgotten in one transaction: nobody waits long for it.
CHUNK: Final = 1000
#: Of a policy that was taken back the vectors are there for a while, should it come again.
PHRASES_KEPT: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class TidyUp:
    """Tidy up; several processes may do so at once."""

    database: Database
    #: How long a delivered event is kept.
    events_kept: timedelta

    def __call__(self) -> None:
        """Delete what is over."""
        with self.database.transaction() as session:
            desk_sessions.forget_ended(session)
            login_failures.forget_old(session)
            review_sources.forget_settled(session)
            dropped_messages.forget_old(session)
            text_vectors.forget_unused(session, older_than=PHRASES_KEPT)
        while self._forget_events() == CHUNK:
            pass

    def running(self) -> AbstractContextManager[None]:
        """Tidy up now and again while the context lasts; a failure is only logged."""
        return repeated(self, _EVERY_SECONDS, name="tidying up")

    def _forget_events(self) -> int:
        with self.database.transaction() as session:
            return outbox.forget_delivered(session, older_than=self.events_kept, limit=CHUNK)
