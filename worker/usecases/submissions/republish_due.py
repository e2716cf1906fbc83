"""The reconciler: publishes undecided submissions that are not on the queue, when they are due.

It recovers from processes that died before they published and from workers that crashed, and it retries
failed attempts. Messages lost on the queue itself are found by `republish_lost.py`.
"""

import logging
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

from worker.concurrency.periodic import run_periodically
from worker.store.engine.database import Database
from worker.store.submissions import publishing
from worker.store.submissions.publishing import PendingSubmission
from worker.usecases.submissions.publish_pending import PublishPending

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
#: Submissions in memory at once: each may hold 350 KiB.
CHUNK: Final = 64


@dataclass(frozen=True, slots=True)
class RepublishDue:
    """Publish submissions that are due; safe to run in several processes at once."""

    database: Database
    publish: PublishPending

    def __call__(self) -> int:
        """Publish what is due; return how many submissions that was."""
        count = self.publish(self._take)
        if count:
            log.info("%d submissions published again", count)
        return count

    def running(self) -> AbstractContextManager[None]:
        """Run periodically while the context lasts; log failures."""
        return run_periodically(self, LOOK_SECONDS, name="publishing again what is not decided")

    def _take(self) -> list[PendingSubmission]:
        # Usually nothing is due, and a read transaction shows that without a write lock.
        with self.database.reading() as session:
            if not publishing.is_any_due(session):
                return []
        with self.database.transaction() as session:
            return publishing.take_due(session, CHUNK)
