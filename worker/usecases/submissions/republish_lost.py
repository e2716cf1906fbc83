"""Finds submissions whose message was lost on the queue, and publishes only those again.

A queue is first in, first out. So a submission that was published well before the oldest waiting message, and
was never claimed, is no longer on the queue; if no message waits, the queue is empty. However long a backlog
takes, none of its messages is published a second time.
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
from worker.store.submissions import due_times, publishing
from worker.store.submissions.publishing import PendingSubmission
from worker.usecases.submissions.publish_pending import PublishPending
from worker.usecases.submissions.republish_due import CHUNK

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 10.0
#: How many of the oldest messages to inspect for one that the ledger knows.
INSPECTED: Final = 16


@dataclass(frozen=True, slots=True)
class RepublishLost:
    """Publish lost submissions; safe to run in several processes at once."""

    database: Database
    broker: Client
    publish: PublishPending

    def __call__(self) -> int:
        """Publish what was lost; return how many. BrokerUnavailableError if the queue cannot be read."""
        moment = self._lost_before()
        if moment is None:
            return 0
        count = self.publish(lambda: self._take(moment))
        if count:
            log.warning("the messages of %d submissions were lost; they are published again", count)
        return count

    def running(self) -> AbstractContextManager[None]:
        """Run periodically while the context lasts; log failures."""
        return run_periodically(self, LOOK_SECONDS, name="looking for lost messages")

    def _lost_before(self) -> datetime | None:
        """Return the time before which unclaimed publications are lost; None if nothing can be lost."""
        with self.database.reading() as session:
            now = database_now(session)
            if not publishing.is_any_queued_before(session, now - due_times.PATIENCE):
                return None
        oldest = self.broker.oldest(INSPECTED)
        if oldest == []:
            return now - due_times.PATIENCE
        with self.database.reading() as session:
            times = publishing.published_at(session, oldest or [])
        if not times:
            # The waiting messages are unknown: other producers sent them, or the broker cannot list them.
            return now - due_times.LONGEST_PATIENCE
        return min(now, *times) - due_times.PATIENCE

    def _take(self, moment: datetime) -> list[PendingSubmission]:
        with self.database.reading() as session:
            if not publishing.is_any_queued_before(session, moment):
                return []
        with self.database.transaction() as session:
            return publishing.take_lost(session, CHUNK, moment)
