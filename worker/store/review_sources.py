"""Where an open review's picture is, whole: the ledger forgets signatures and bytes with the decision."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import exists, select, update
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


def find(session: Session, submission_id: str) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Return where a picture is, and what the ledger still says where that is not kept whole."""
    query = select(SubmissionRow.review_source, SubmissionRow.source).where(SubmissionRow.id == submission_id)
    found = session.execute(query).one_or_none()
    return (found[0], found[1]) if found else (None, None)


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
