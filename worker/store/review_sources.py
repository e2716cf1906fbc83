"""Where an open review's picture is, whole: the ledger forgets signatures and bytes with the decision."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import exists, func, select, update
from sqlalchemy.orm import Session

from worker.store.clock import database_now
from worker.store.tables import DecisionRow, ReviewRow, SubmissionRow, VerdictRow

#: An undone verdict opens its review again, and the picture has to be there still.
KEPT_AFTER: Final = timedelta(minutes=15)


def keep(session: Session, sources: Mapping[str, Mapping[str, Any]]) -> None:
    """Keep the whole sources of submissions, as messages write them, until their reviews are settled."""
    for submission_id, source in sorted(sources.items()):
        session.execute(
            update(SubmissionRow)
            .where(SubmissionRow.id == submission_id)
            .values(review_source=source)
            .execution_options(synchronize_session=False)
        )


@dataclass(frozen=True, slots=True)
class ReviewSource:
    """Where the picture of a decision is, and which bytes were judged."""

    submission_id: str
    decision_id: int
    #: As messages write it; None if it is not kept.
    whole: dict[str, Any] | None
    #: What the ledger still says if it is not kept whole; None if the picture came inside its message.
    recorded: dict[str, Any] | None
    #: Of the bytes that were judged, or refused as no picture; None if they could not be had.
    sha256: str | None


def find(session: Session, submission_id: str, decision_id: int | None = None) -> ReviewSource | None:
    """Return where the picture of a decision is, of the newest one on the submission if none is named."""
    query = (
        select(
            SubmissionRow.id,
            DecisionRow.id,
            SubmissionRow.review_source,
            SubmissionRow.source,
            func.coalesce(DecisionRow.sha256, SubmissionRow.sha256),
        )
        .join(DecisionRow, DecisionRow.submission_id == SubmissionRow.id)
        .where(SubmissionRow.id == submission_id)
        .order_by(DecisionRow.id.desc())
        .limit(1)
    )
    if decision_id is not None:
        query = query.where(DecisionRow.id == decision_id)
    found = session.execute(query).one_or_none()
    return ReviewSource(*found) if found else None


def forget_settled(session: Session) -> None:
    """Forget the sources that no open review needs, nor one that may soon be opened again."""
    before = database_now(session) - KEPT_AFTER
    waiting = exists(
        select(ReviewRow.id)
        .join(DecisionRow, DecisionRow.id == ReviewRow.decision_id)
        .where(DecisionRow.submission_id == SubmissionRow.id, ReviewRow.state == "open")
    )
    answered_lately = exists(
        select(VerdictRow.id).where(
            VerdictRow.submission_id == SubmissionRow.id, VerdictRow.created_at > before
        )
    )
    session.execute(
        update(SubmissionRow)
        .where(
            SubmissionRow.review_source.is_not(None),
            SubmissionRow.updated_at <= before,
            ~waiting,
            ~answered_lately,
        )
        .values(review_source=None)
        .execution_options(synchronize_session=False)
    )
