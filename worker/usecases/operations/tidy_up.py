"""Deletes what has expired: desk sessions, failed logins, kept sources, events, text vectors, counts."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy.orm import Session

from worker.concurrency.periodic import run_periodically
from worker.store.accounts import desk_sessions, login_failures
from worker.store.engine.database import Database
from worker.store.notifications import outbox
from worker.store.operations import label_activity, leases
from worker.store.policies import text_vectors
from worker.store.reviews import review_sources
from worker.store.submissions import dropped_messages

_TASK: Final = "tidy-up"
_EVERY_SECONDS: Final = 60.0
#: Shorter than the interval, so that the lease has expired when the next process checks it.
_LEASE: Final = timedelta(seconds=55)
#: Rows deleted in one transaction: other writers wait for a few of these at most.
CHUNK: Final = 500
#: How long the text vectors of a policy that is no longer in force are kept, in case it returns.
PHRASES_KEPT: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class TidyUp:
    """Delete expired rows in short transactions; safe to run in several processes at once.

    If nothing has expired, nothing is written and no writer waits.
    """

    database: Database
    #: How long a delivered event is kept.
    events_kept: timedelta

    def __call__(self) -> None:
        """Delete all expired rows."""
        self._delete(desk_sessions.is_any_ended, lambda s: desk_sessions.forget_ended(s, limit=CHUNK))
        self._delete(login_failures.is_any_old, lambda s: login_failures.forget_old(s, limit=CHUNK))
        self._delete(dropped_messages.is_any_old, lambda s: dropped_messages.forget_old(s, limit=CHUNK))
        self._delete(label_activity.is_any_old, lambda s: label_activity.forget_old(s, limit=CHUNK))
        self._delete(
            lambda s: text_vectors.is_any_unused(s, older_than=PHRASES_KEPT),
            lambda s: text_vectors.forget_unused(s, older_than=PHRASES_KEPT, limit=CHUNK),
        )
        self._delete(
            lambda s: outbox.is_any_old(s, older_than=self.events_kept),
            lambda s: outbox.forget_delivered(s, older_than=self.events_kept, limit=CHUNK),
        )
        self._forget_sources()

    def running(self) -> AbstractContextManager[None]:
        """Tidy up every minute while the context lasts, in turn with other processes; log failures."""
        return run_periodically(self.take_turn, _EVERY_SECONDS, name="tidying up")

    def take_turn(self) -> None:
        """Delete expired rows, unless another process started to within the last minute."""
        if self._acquire_lease():
            self()

    def _acquire_lease(self) -> bool:
        with self.database.reading() as session:
            if leases.is_held(session, _TASK):
                return False
        with self.database.transaction() as session:
            return leases.acquire(session, _TASK, _LEASE)

    def _delete(self, is_any: Callable[[Session], bool], delete_some: Callable[[Session], int]) -> None:
        with self.database.reading() as session:
            if not is_any(session):
                return
        deleted = CHUNK
        while deleted == CHUNK:
            with self.database.transaction() as session:
                deleted = delete_some(session)

    def _forget_sources(self) -> None:
        """Delete the kept sources that no review needs any more, checking a chunk at a time."""
        after: str | None = ""
        while after is not None:
            after = self._forget_chunk(after)

    def _forget_chunk(self, after: str) -> str | None:
        """Check one chunk; return its last submission id, or None at the end."""
        with self.database.reading() as session:
            kept = review_sources.kept(session, after=after, limit=CHUNK)
            settled = review_sources.settled_among(session, kept)
        if settled:
            with self.database.transaction() as session:
                review_sources.forget(session, settled)
        return kept[-1] if len(kept) == CHUNK else None
