"""Finds submissions whose message was lost on the queue, and publishes them again: only those.

A queue hands its messages out in the order in which they came. So what was published well before the oldest
message that still waits, and was never claimed, is no longer on the queue; and if nothing waits, nothing is.
However long a backlog takes, no message of it is published a second time.
"""

import logging
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from moderation_client import Client

from worker.concurrency.periodic import run_periodically
from worker.store.engine.clock import database_now
from worker.store.engine.database import Database
from worker.store.submissions import submissions
from worker.store.submissions.submissions import PendingSubmission
from worker.usecases.submissions.publish_pending import PublishPending
from worker.usecases.submissions.republish_due import CHUNK

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 10.0
#: Of the oldest messages, so many are looked at for one that the ledger knows.
LOOKED_AT: Final = 16


@dataclass(frozen=True, slots=True)
class RepublishLost:
    """Publish what was lost; several processes may do so at once, each takes its own."""

    database: Database
    broker: Client
    publish: PublishPending

    def __call__(self) -> int:
        """Return how many submissions were published; BrokerUnavailableError if the queue cannot be read."""
        moment = self._lost_before()
        if moment is None:
            return 0
        count = self.publish(lambda: self._take(moment))
        if count:
            log.warning("the messages of %d submissions were lost; they are published again", count)
        return count

    def running(self) -> AbstractContextManager[None]:
        """Look now and again while the context lasts; a failure is only logged."""
        return run_periodically(self, LOOK_SECONDS, name="looking for lost messages")

    def _lost_before(self) -> datetime | None:
        """Return before when whatever was published, and not claimed, is lost; None if nothing can be."""
        with self.database.reading() as session:
            now = database_now(session)
            if not submissions.is_any_queued_before(session, now - submissions.PATIENCE):
                return None
        oldest = self.broker.oldest(LOOKED_AT)
        if oldest == []:
            return now - submissions.PATIENCE
        with self.database.reading() as session:
            times = submissions.published_at(session, oldest or [])
        if not times:
            # Nothing is known of what waits: messages that others sent, or a broker that shows none.
            return now - submissions.LONGEST_PATIENCE
        return min(now, *times) - submissions.PATIENCE

    def _take(self, moment: datetime) -> list[PendingSubmission]:
        with self.database.reading() as session:
            if not submissions.is_any_queued_before(session, moment):
                return []
        with self.database.transaction() as session:
            return submissions.take_lost(session, CHUNK, moment)
