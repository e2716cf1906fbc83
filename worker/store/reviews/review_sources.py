"""Complete picture sources for open reviews: the ledger drops signatures and bytes with the decision."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from worker.store.engine.clock import database_now
from worker.store.engine.tables import DecisionRow, ReviewRow, SubmissionRow, VerdictRow
from worker.store.engine.updating import update_submissions

#: How long after a verdict a source is kept: an undone verdict reopens its review, which needs the picture.
KEPT_AFTER: Final = timedelta(minutes=15)


def keep(session: Session, sources: Mapping[str, Mapping[str, Any]]) -> None:
    """Keep the complete sources of submissions, as in their messages, until their reviews are settled."""
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
    #: As in the message; None if it is not kept.
    whole: dict[str, Any] | None
    #: Without secrets, from the ledger; None if the picture came inside its message.
    recorded: dict[str, Any] | None
    #: Of the bytes that were judged, or refused as no picture; None if they were unavailable.
    sha256: str | None


def find(session: Session, submission_id: str, decision_id: int | None = None) -> ReviewSource | None:
    """Return where the picture of a decision is; without `decision_id`, of the submission's newest one."""
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


def kept(session: Session, *, after: str, limit: int) -> list[str]:
    """Return at most `limit` submissions whose source is kept, by id, starting after `after`."""
    query = select(SubmissionRow.id).where(SubmissionRow.review_source.is_not(None), SubmissionRow.id > after)
    return list(session.scalars(query.order_by(SubmissionRow.id).limit(limit)))


def settled_among(session: Session, submission_ids: Sequence[str]) -> list[str]:
    """Return which of these have no open review, and none that may still be reopened."""
    if not submission_ids:
        return []
    before = database_now(session) - KEPT_AFTER
    old = select(SubmissionRow.id).where(
        SubmissionRow.id.in_(submission_ids), SubmissionRow.updated_at <= before
    )
    # Several queries, each by the ids that the previous one found: with a join SQLite would read every open
    # review for each submission, and PostgreSQL all decisions.
    decided = select(DecisionRow.id, DecisionRow.submission_id)
    about = dict(session.execute(decided.where(DecisionRow.submission_id.in_(submission_ids))).all())
    reviews = select(ReviewRow.decision_id, ReviewRow.state).where(ReviewRow.decision_id.in_(about))
    recently_answered = select(VerdictRow.submission_id).where(
        VerdictRow.submission_id.in_(submission_ids), VerdictRow.created_at > before
    )
    needed = {about[decision_id] for decision_id, state in session.execute(reviews) if state == "open"}
    needed.update(session.scalars(recently_answered))
    return [one for one in session.scalars(old) if one not in needed]


def forget(session: Session, submission_ids: Sequence[str]) -> None:
    """Delete the sources of these, except those that a review needs again."""
    update_submissions(session, settled_among(session, submission_ids), review_source=None)
