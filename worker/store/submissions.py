"""Submissions: the ledger of what reached a worker and how it ended."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from worker.domain.submission import Submission
from worker.store.column_types import utc_now
from worker.store.inserting import insert_into
from worker.store.tables import SubmissionRow


def record(
    session: Session,
    submission: Submission,
    *,
    policy: str,
    sha256: str | None,
    source: Mapping[str, Any] | None,
) -> None:
    """Note that `submission` is decided; one that was refused before is no longer.

    `policy` is the name of the policy that decides, `sha256` the digest of the bytes where they could be
    had, `source` says where they are, None where they came with the message.
    """
    outcome = {
        "state": "decided",
        "reference": submission.reference,
        "policy": policy,
        "sha256": sha256,
        "source": source,
        "context": submission.context,
        "error": None,
        "updated_at": utc_now(),
    }
    _settle(session, submission.id, outcome)


def refuse(session: Session, submission_id: str, error: str) -> None:
    """Note that no policy can decide a submission, unless one has."""
    _settle(session, submission_id, {"state": "refused", "error": error, "updated_at": utc_now()})


def refused(session: Session, limit: int) -> list[tuple[str, str]]:
    """Return the ids of refused submissions and why, newest first."""
    query = (
        select(SubmissionRow.id, SubmissionRow.error)
        .where(SubmissionRow.state == "refused")
        .order_by(SubmissionRow.updated_at.desc())
        .limit(limit)
    )
    return [(submission_id, error or "") for submission_id, error in session.execute(query)]


def named(session: Session, name: str, limit: int) -> list[str]:
    """Return the submission with this id, else at most `limit` with this reference, newest first."""
    if session.get(SubmissionRow, name):
        return [name]
    query = (
        select(SubmissionRow.id)
        .where(SubmissionRow.reference == name)
        .order_by(SubmissionRow.created_at.desc())
        .limit(limit)
    )
    return list(session.scalars(query))


def _settle(session: Session, submission_id: str, outcome: Mapping[str, object]) -> None:
    row = {"reference": "", **outcome, "id": submission_id}
    session.execute(
        insert_into(session, SubmissionRow, **row).on_conflict_do_update(
            index_elements=[SubmissionRow.id], set_=outcome, where=SubmissionRow.state == "refused"
        )
    )
