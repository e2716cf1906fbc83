"""Where an open review's picture is, whole: the ledger forgets signatures and bytes with the decision."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from worker.store.column_types import utc_now
from worker.store.tables import DecisionRow, ReviewRow, SubmissionRow, VerdictRow
from worker.store.updating import update_submissions

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


def kept(session: Session, *, after: str, limit: int) -> list[str]:
    """Return at most `limit` submissions whose source is kept, in the order of their ids, beyond `after`."""
    query = select(SubmissionRow.id).where(SubmissionRow.review_source.is_not(None), SubmissionRow.id > after)
    return list(session.scalars(query.order_by(SubmissionRow.id).limit(limit)))


def settled_among(session: Session, submission_ids: Sequence[str]) -> list[str]:
    """Return which of these have no open review, nor one that may soon be opened again."""
    if not submission_ids:
        return []
    before = utc_now() - KEPT_AFTER
    old = select(SubmissionRow.id).where(
        SubmissionRow.id.in_(submission_ids), SubmissionRow.updated_at <= before
    )
    # In steps, each by the ids that the one before found: joined, SQLite reads every open review for each
    # submission, and PostgreSQL all decisions.
    decided = select(DecisionRow.id, DecisionRow.submission_id)
    about = dict(session.execute(decided.where(DecisionRow.submission_id.in_(submission_ids))).all())
    reviews = select(ReviewRow.decision_id, ReviewRow.state).where(ReviewRow.decision_id.in_(about))
    answered_lately = select(VerdictRow.submission_id).where(
        VerdictRow.submission_id.in_(submission_ids), VerdictRow.created_at > before
    )
    needed = {about[decision_id] for decision_id, state in session.execute(reviews) if state == "open"}
    needed.update(session.scalars(answered_lately))
    return [one for one in session.scalars(old) if one not in needed]


def forget(session: Session, submission_ids: Sequence[str]) -> None:
    """Forget the sources of these, but of those that a review needs again since."""
    update_submissions(session, settled_among(session, submission_ids), review_source=None)
