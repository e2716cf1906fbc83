"""The reconciler: what is neither decided nor in anybody's hand when it should be is published again.

Between the commit of an accepted submission and its message lies a moment in which a process can die or the
broker be away, Celery on Redis loses a message now and then, and workers die with submissions in hand.
"""

import logging
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

from worker.background import repeated
from worker.client.messages import from_message
from worker.domain.submission import Submission
from worker.errors import InvalidSubmissionError
from worker.metrics import Metrics
from worker.store import submissions
from worker.store.database import Database
from worker.store.submissions import PendingSubmission
from worker.usecases.publish_submissions import PublishSubmissions

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 2.0
#: Submissions in hand at once: each may hold 350 KiB.
CHUNK: Final = 64


@dataclass(frozen=True, slots=True)
class RepublishDue:
    """Publish what is due; several processes may do so at once, each takes its own."""

    database: Database
    publish: PublishSubmissions
    metrics: Metrics

    def __call__(self) -> int:
        """Return how many submissions were published again."""
        count = 0
        while due := self._take():
            left = self.publish([one for one in map(self._submission, due) if one])
            count += len(due) - len(left)
            if left:
                with self.database.transaction() as session:
                    submissions.give_back(session, left)
                break
        if count:
            log.warning("%d submissions were not decided in time: published again", count)
            self.metrics.published_again(count)
        return count

    def _take(self) -> list[PendingSubmission]:
        with self.database.transaction() as session:
            return submissions.take_due(session, CHUNK)

    def running(self) -> AbstractContextManager[None]:
        """Look now and again while the context lasts; a failure is only logged."""
        return repeated(self, LOOK_SECONDS, name="publishing again what is due")

    def _submission(self, pending: PendingSubmission) -> Submission | None:
        """Return what the ledger holds; where that can no longer be published, close it with the reason."""
        message = {
            "id": pending.id,
            "source": pending.source,
            "policy": pending.policy,
            "reference": pending.reference,
            "sha256": pending.sha256,
            "context": pending.context,
            "callback": pending.callback,
        }
        try:
            return from_message(message)
        except InvalidSubmissionError as error:
            log.error("submission %s cannot be published: %s", pending.id, error)  # noqa: TRY400 - no traceback
            with self.database.transaction() as session:
                submissions.refuse(session, pending.id, f"it cannot be published again: {error.message}")
            return None
