"""Refuses a submission that no policy can decide: record it in the ledger, and notify the platform."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from moderation_client.callback import Callback, callback_record
from moderation_client.submission import Submission
from sqlalchemy.orm import Session

from worker.domain.submissions.fingerprint import fingerprint
from worker.errors import PermanentError
from worker.store.engine.database import Database
from worker.store.notifications import outbox
from worker.store.reviews import in_force
from worker.store.submissions import outcomes, submissions


@dataclass(frozen=True, slots=True)
class RefuseSubmission:
    """Refuse a submission in one transaction; safe to repeat."""

    database: Database
    #: Notified of submissions that name no callback.
    default_callback: Callback | None = None

    def __call__(
        self, submission_id: str, error: PermanentError, submission: Submission | None = None
    ) -> None:
        """Refuse a submission; `submission` is None if only the id of its message can be read."""
        of = fingerprint(submission) if submission else None
        callback = callback_record((submission and submission.callback) or self.default_callback)
        with self.database.transaction() as session:
            if outcomes.refuse(session, submission_id, error.message, of=of):
                note_refusal(session, submission_id, error.message, callback)


def note_refusal(
    session: Session, submission_id: str, problem: str, default: Mapping[str, Any] | None
) -> None:
    """Advance the sequence, and notify the platform if the submission or `default` names a callback."""
    in_force.advance(session, [submission_id])
    # Empty, unless a second judgement was refused.
    state = in_force.of(session, submission_id)
    if callback := submissions.callback_of(session, submission_id) or default:
        news = outbox.News(
            outbox.SUBMISSION_REFUSED, submission_id, None, callback, problem=problem, in_force=state
        )
        outbox.add(session, [news])
