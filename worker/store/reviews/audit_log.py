"""The audit log: who did what at the review desk, and what they were shown."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from worker.domain.reviews.review import SEVERE
from worker.store.engine.column_types import storable
from worker.store.engine.tables import AuditLogRow, DecisionRow, ReviewRow

CLAIMED: Final = "review.claimed"
RELEASED: Final = "review.released"
SKIPPED: Final = "review.skipped"
ESCALATED: Final = "review.escalated"
VERDICT_MADE: Final = "verdict.made"
VERDICT_INHERITED: Final = "verdict.inherited"
VERDICT_REVERSED: Final = "verdict.reversed"
APPEAL_OPENED: Final = "appeal.opened"
#: A person saw a picture without its veil.
PICTURE_SHOWN: Final = "picture.shown"
#: A person asked which places of a picture spoke for a label.
HEAT_MAP_SHOWN: Final = "heat_map.shown"
#: The source no longer has the bytes that were judged.
PICTURE_CHANGED: Final = "picture.changed"
GOLDEN_ADDED: Final = "golden.added"
GOLDEN_RETIRED: Final = "golden.retired"


@dataclass(frozen=True, slots=True)
class Entry:
    """One action of a person."""

    #: In UTC.
    at: datetime
    actor: str
    what: str
    review_id: int | None
    details: Mapping[str, Any]


def note(
    session: Session,
    actor: str,
    what: str,
    *,
    review_id: int | None = None,
    submission_id: str | None = None,
    **details: Any,
) -> None:
    """Record an action of `actor`; `details` are JSON values."""
    session.execute(
        insert(AuditLogRow).values(
            actor=actor,
            what=what,
            review_id=review_id,
            submission_id=submission_id,
            details=storable(details),
        )
    )


def of_submission(session: Session, submission_id: str) -> list[Entry]:
    """Return what was done about a submission, oldest first."""
    query = select(AuditLogRow).where(AuditLogRow.submission_id == submission_id).order_by(AuditLogRow.id)
    return [Entry(row.at, row.actor, row.what, row.review_id, row.details) for row in session.scalars(query)]


def severe_shown(session: Session, reviewer: str, since: datetime) -> int:
    """Return how many severe pictures a person has claimed since then, each counted once."""
    # Two statements: with a join PostgreSQL may read every review to find one person's.
    claimed = select(AuditLogRow.review_id).where(
        AuditLogRow.actor == reviewer, AuditLogRow.at >= since, AuditLogRow.what == CLAIMED
    )
    ids = set(session.scalars(claimed))
    severe = (
        select(func.count())
        .select_from(ReviewRow)
        .join(DecisionRow, DecisionRow.id == ReviewRow.decision_id)
        .where(ReviewRow.id.in_(ids), DecisionRow.severity >= SEVERE)
    )
    return session.scalar(severe) or 0


def has_claimed(session: Session, actor: str, review_id: int) -> bool:
    """Whether a person has ever claimed a review."""
    query = select(AuditLogRow.id).where(
        AuditLogRow.review_id == review_id, AuditLogRow.actor == actor, AuditLogRow.what == CLAIMED
    )
    return session.scalar(query.limit(1)) is not None


def claimed_at(session: Session, review_id: int) -> datetime | None:
    """Return when a review was last claimed; None if it never was."""
    query = select(AuditLogRow.at).where(AuditLogRow.review_id == review_id, AuditLogRow.what == CLAIMED)
    return session.scalar(query.order_by(AuditLogRow.id.desc()).limit(1))
