"""Finds submissions in the ledger of everything that was accepted or reached a worker."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from worker.errors import UsageError
from worker.store.engine.tables import DecisionRow, SubmissionRow

#: How many submissions with the same reference an error lists.
_MAX_NAMED: Final = 20
#: A decided submission that waits for a second judgement, or is being judged again.
AWAITS_SECOND: Final = (SubmissionRow.state == "decided") & SubmissionRow.publish_at.is_not(None)


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """A submission as recorded in the ledger."""

    id: str
    reference: str
    policy: str | None
    sha256: str | None
    #: As in the message, a URL without its query; None if the picture came inside the message.
    source: dict[str, Any] | None
    context: dict[str, Any] | None
    #: What accompanies the picture; empty if nothing does, or if it was erased.
    text: str
    #: accepted, decided or refused.
    state: str
    #: Why it was refused or, while it is undecided, why it waits.
    error: str | None
    fingerprint: str | None
    #: In UTC.
    created_at: datetime
    updated_at: datetime


def find(session: Session, submission_id: str) -> LedgerEntry | None:
    """Return the ledger entry of a submission, if there is one."""
    row = session.get(SubmissionRow, submission_id)
    if row is None:
        return None
    return LedgerEntry(
        id=row.id,
        reference=row.reference,
        policy=row.policy,
        sha256=row.sha256,
        source=row.source,
        context=row.context,
        text=row.text or "",
        state=row.state,
        error=row.error,
        fingerprint=row.fingerprint,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def traceparent(session: Session, submission_id: str) -> str | None:
    """Return the traceparent of a submission."""
    return session.scalar(select(SubmissionRow.traceparent).where(SubmissionRow.id == submission_id))


def is_open(session: Session, submission_id: str) -> bool:
    """Whether a submission waits for its first decision, or for a second one that was requested."""
    decided = exists().where(DecisionRow.submission_id == SubmissionRow.id)
    waits_for_first = (SubmissionRow.state == "accepted") & ~decided
    query = select(SubmissionRow.id).where(SubmissionRow.id == submission_id, waits_for_first | AWAITS_SECOND)
    return session.scalar(query) is not None


def callback_of(session: Session, submission_id: str) -> dict[str, Any] | None:
    """Return the callback of a submission; None for the default in the settings."""
    return session.scalar(select(SubmissionRow.callback).where(SubmissionRow.id == submission_id))


def refused(session: Session, limit: int) -> list[tuple[str, str]]:
    """Return at most `limit` refused submissions, each with the reason, newest first."""
    query = (
        select(SubmissionRow.id, SubmissionRow.error)
        .where(SubmissionRow.state == "refused")
        .order_by(SubmissionRow.updated_at.desc())
        .limit(limit)
    )
    return [(submission_id, error or "") for submission_id, error in session.execute(query)]


def named(session: Session, name: str) -> str | None:
    """Return the id of the submission with this id, else with this reference; None if neither exists.

    UsageError if several have the reference; it names the newest of them.
    """
    if session.get(SubmissionRow, name):
        return name
    query = (
        select(SubmissionRow.id)
        .where(SubmissionRow.reference == name)
        .order_by(SubmissionRow.created_at.desc())
        .limit(_MAX_NAMED)
    )
    found = list(session.scalars(query))
    if len(found) > 1:
        raise UsageError(
            f"{len(found)} submissions have the reference {name!r}", hint=f"name one: {', '.join(found)}"
        )
    return found[0] if found else None
