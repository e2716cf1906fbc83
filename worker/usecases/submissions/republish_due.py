"""The reconciler: publishes undecided submissions that are not on the queue, when they are due.

That heals a process that died before it sent a message and a worker that died of one; and it is how what
failed is tried again. What was lost on the queue itself is found by `republish_lost.py`.
"""

import logging
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

from worker.concurrency.periodic import run_periodically
from worker.store.engine.database import Database
from worker.store.submissions import submissions
from worker.store.submissions.submissions import PendingSubmission
from worker.usecases.submissions.publish_pending import PublishPending

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
#: Submissions in memory at once: each may hold 350 KiB.
CHUNK: Final = 64


@dataclass(frozen=True, slots=True)
class RepublishDue:
    """Publish what is due; several processes may do so at once, each takes its own."""

    database: Database
    publish: PublishPending

    def __call__(self) -> int:
        """Return how many submissions were published."""
        count = self.publish(self._take)
        if count:
            log.info("%d submissions published again", count)
        return count

    def running(self) -> AbstractContextManager[None]:
        """Look now and again while the context lasts; a failure is only logged."""
        return run_periodically(self, LOOK_SECONDS, name="publishing again what is not decided")

    def _take(self) -> list[PendingSubmission]:
        # Most looks find nothing, and need no writer's turn to see that.
        with self.database.reading() as session:
            if not submissions.is_any_due(session):
                return []
        with self.database.transaction() as session:
            return submissions.take_due(session, CHUNK)
