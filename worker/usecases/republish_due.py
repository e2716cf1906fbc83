"""The reconciler: whatever is undecided and in nobody's hand when its time comes is put on the queue again.

That heals every way to lose a message: a process that died before it sent one, a broker that lost one, a
worker that died with one in hand; and it is how what failed is tried again.
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

LOOK_SECONDS: Final = 1.0
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
            readable = [one for one in map(self._read, due) if one]
            left = self.publish(readable)
            count += len(readable) - len(left)
            if left:
                with self.database.transaction() as session:
                    submissions.give_back(session, left)
                break
        if count:
            log.info("%d submissions published again", count)
            self.metrics.published_again(count)
        return count

    def running(self) -> AbstractContextManager[None]:
        """Look now and again while the context lasts; a failure is only logged."""
        return repeated(self, LOOK_SECONDS, name="publishing again what is not decided")

    def _take(self) -> list[PendingSubmission]:
        # Most looks find nothing, and need no writer's turn to see that.
        with self.database.reading() as session:
            if not submissions.is_any_due(session):
                return []
        with self.database.transaction() as session:
            return submissions.take_due(session, CHUNK)

    def _read(self, pending: PendingSubmission) -> Submission | None:
        """Return what is to be published; None where the row holds none, and then it is refused."""
        try:
            return _submission(pending)
        except InvalidSubmissionError as error:
            log.error("submission %s cannot be published: %s", pending.id, error)  # noqa: TRY400 - no traceback
            with self.database.transaction() as session:
                submissions.abandon(
                    session, pending.id, f"the ledger's entry cannot be read: {error.message}"
                )
            return None


def _submission(pending: PendingSubmission) -> Submission:
    return from_message(
        {
            "id": pending.id,
            "source": pending.source,
            "policy": pending.policy,
            "reference": pending.reference,
            "sha256": pending.sha256,
            "context": pending.context,
            "callback": pending.callback,
        }
    )
