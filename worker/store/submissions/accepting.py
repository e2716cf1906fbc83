"""Accepts submissions, and requests for a second judgement, into the ledger."""

from collections.abc import Mapping
from typing import Any, Protocol

from moderation_client.callback import callback_record
from moderation_client.submission import Submission
from sqlalchemy.orm import Session

from worker.domain.submissions.fingerprint import fingerprint
from worker.store.engine.clock import moment
from worker.store.engine.inserting import insert_into
from worker.store.engine.tables import SubmissionRow
from worker.store.engine.updating import update_submissions
from worker.store.submissions import due_times


class KnownSubmission(Protocol):
    """The identity of a submission in the ledger."""

    @property
    def fingerprint(self) -> str | None:
        """None if it was recorded before there were fingerprints."""

    @property
    def sha256(self) -> str | None:
        """The digest of the bytes, if it is known."""

    @property
    def source(self) -> dict[str, Any] | None:
        """Where its picture is; None if it came inside the message."""


def is_same(known: KnownSubmission, submission: Submission, source: Mapping[str, Any] | None) -> bool:
    """Whether a ledger entry is this submission, whose picture is at `source`."""
    if known.fingerprint is not None:
        return known.fingerprint == fingerprint(submission)
    if known.sha256 and submission.sha256:
        return known.sha256 == submission.sha256
    return known.source is not None and known.source == source


def entry(
    submission: Submission, source: Mapping[str, Any] | None, pending_source: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the columns of an undecided submission, except its times.

    `source` says where the picture is, without secrets; `pending_source` is complete, as in the message.
    """
    return {
        "state": "accepted",
        "reference": submission.reference,
        "policy": submission.policy,
        "sha256": submission.sha256,
        "source": source,
        "context": submission.context,
        "callback": callback_record(submission.callback),
        "error": None,
        "fingerprint": fingerprint(submission),
        "pending_source": pending_source,
        "published_at": None,
        "published_again": 0,
        "refuse_at": None,
        "policy_digest": None,
        "again": submission.again,
        "text": submission.text or None,
        "attempts": 0,
        "crashes": 0,
        "waits_for": None,
        "traceparent": submission.traceparent,
    }


def accept(
    session: Session,
    submission: Submission,
    source: Mapping[str, Any] | None,
    pending_source: Mapping[str, Any],
) -> bool:
    """Record an undecided submission; return False if it is known already.

    A refused id is accepted anew, whatever it was before. `source` and `pending_source` as in `entry`.
    """
    columns = (
        entry(submission, source, pending_source)
        | due_times.queued()
        | {"created_at": moment(), "updated_at": moment()}
    )
    row = insert_into(session, SubmissionRow, **columns, id=submission.id)
    anew = row.on_conflict_do_update(
        index_elements=[SubmissionRow.id], set_=columns, where=SubmissionRow.state == "refused"
    )
    return session.scalar(anew.returning(SubmissionRow.id)) is not None


def ask_again(
    session: Session,
    submission: Submission,
    source: Mapping[str, Any] | None,
    pending_source: Mapping[str, Any],
) -> bool:
    """Request a second judgement; return False if it was requested before, or the submission is undecided.

    `submission.again` names the request; `source` and `pending_source` as in `entry`.
    """
    is_decided = (SubmissionRow.state == "decided") & SubmissionRow.publish_at.is_(None)
    is_new = SubmissionRow.again.is_distinct_from(submission.again)
    asked = update_submissions(
        session,
        [submission.id],
        is_decided,
        is_new,
        again=submission.again,
        # As in the message: republishing reads these columns, and the first decision overwrote them, or the
        # text was erased.
        text=submission.text or None,
        policy=submission.policy,
        sha256=submission.sha256,
        source=source,
        pending_source=pending_source,
        policy_digest=None,
        attempts=SubmissionRow.crashes,
        published_again=0,
        updated_at=moment(),
        **due_times.queued(),
    )
    return bool(asked)


def wait_for_policy(session: Session, submission_id: str) -> None:
    """Let an undecided submission wait for its policy without a limit."""
    has_limit = SubmissionRow.refuse_at.is_not(None)
    update_submissions(session, [submission_id], has_limit, refuse_at=None)
