"""Forgets what is over at the review desk: sessions, failed logins, and where settled pictures were."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

from worker.background import repeated
from worker.store import desk_sessions, login_failures, review_sources
from worker.store.database import Database

_EVERY_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class TidyDesk:
    """Tidy up; several processes may do so at once."""

    database: Database

    def __call__(self) -> None:
        """Delete what is over."""
        with self.database.transaction() as session:
            desk_sessions.forget_ended(session)
            login_failures.forget_old(session)
            review_sources.forget_settled(session)

    def running(self) -> AbstractContextManager[None]:
        """Tidy up now and again while the context lasts; a failure is only logged."""
        return repeated(self, _EVERY_SECONDS, name="tidying up the review desk")
