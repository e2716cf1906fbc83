"""Publishes undecided submissions from the ledger, and refuses those whose row cannot be read."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from moderation_client.messages import from_message
from moderation_client.submission import Submission

from worker.errors import InvalidSubmissionError
from worker.observability.metrics.process import ProcessMetrics
from worker.store.engine.database import Database
from worker.store.submissions import outcomes, publishing
from worker.store.submissions.publishing import PendingSubmission
from worker.usecases.submissions.publish_submissions import PublishSubmissions
from worker.usecases.submissions.refuse_submission import note_refusal

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PublishPending:
    """Publish submissions taken from the ledger; safe to run in several processes at once."""

    database: Database
    publish: PublishSubmissions
    metrics: ProcessMetrics
    #: Notified of refusals if a submission names no callback.
    default_callback: Mapping[str, Any] | None = None

    def __call__(self, take: Callable[[], Sequence[PendingSubmission]]) -> int:
        """Publish until `take` returns nothing or the broker fails; return how many were published."""
        count = 0
        while pending := take():
            readable = [one for one in map(self._read, pending) if one]
            left = self.publish(readable)
            count += len(readable) - len(left)
            if left:
                with self.database.transaction() as session:
                    publishing.give_back(session, left)
                break
        self.metrics.published_again(count)
        return count

    def _read(self, pending: PendingSubmission) -> Submission | None:
        """Return the submission of a row; if the row cannot be read, refuse it and return None."""
        try:
            return _submission(pending)
        except InvalidSubmissionError as error:
            log.error("submission %s cannot be published: %s", pending.id, error)  # noqa: TRY400 - no traceback
            problem = f"the ledger's entry cannot be read: {error.message}"
            with self.database.transaction() as session:
                if outcomes.abandon(session, pending.id, problem):
                    note_refusal(session, pending.id, problem, self.default_callback)
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
            "again": pending.again,
            "text": pending.text,
        }
    )
