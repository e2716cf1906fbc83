"""Appeals against decisions, which a second person answers."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, insert, select
from sqlalchemy.orm import Session

from worker.domain.policies.policy import Action
from worker.store.engine.tables import AppealRow, DecisionRow
from worker.store.reviews import verdicts


@dataclass(frozen=True, slots=True)
class Appeal:
    """An appeal and its answer, if there is one."""

    id: int
    decision_id: int
    submission_id: str
    review_id: int
    statement: str
    #: What was in force when the appeal was made.
    appealed_action: Action
    #: In UTC.
    created_at: datetime
    #: The answer; None while it is open.
    verdict_id: int | None
    action: Action | None
    labels: tuple[str, ...] | None
    reason: str | None
    answered_at: datetime | None


def add(
    session: Session, *, decision_id: int, review_id: int, statement: str, appealed_action: Action
) -> None:
    """Add an appeal, whose review is in the queue."""
    row = {
        "decision_id": decision_id,
        "review_id": review_id,
        "statement": statement,
        "appealed_action": appealed_action,
    }
    session.execute(insert(AppealRow).values(row))


def find(session: Session, appeal_id: int) -> Appeal | None:
    """Return an appeal, if there is one with this id."""
    return _one(session, AppealRow.id == appeal_id)


def of_decision(session: Session, decision_id: int) -> Appeal | None:
    """Return the appeal against a decision, if there is one."""
    return _one(session, AppealRow.decision_id == decision_id)


def of_review(session: Session, review_id: int) -> Appeal | None:
    """Return the appeal that a review is about, if it is about one."""
    return _one(session, AppealRow.review_id == review_id)


def get_of_review(session: Session, review_id: int) -> Appeal:
    """Return the appeal that a review is about; ValueError if it is not about one."""
    appeal = of_review(session, review_id)
    if appeal is None:
        raise ValueError(f"review {review_id} is not about an appeal")
    return appeal


def _one(session: Session, which: ColumnElement[bool]) -> Appeal | None:
    query = select(AppealRow, DecisionRow.submission_id).join(
        DecisionRow, DecisionRow.id == AppealRow.decision_id
    )
    found = session.execute(query.where(which)).one_or_none()
    if found is None:
        return None
    row, submission_id = found
    answer = verdicts.of_review(session, row.review_id)
    return Appeal(
        id=row.id,
        decision_id=row.decision_id,
        submission_id=submission_id,
        review_id=row.review_id,
        statement=row.statement,
        appealed_action=row.appealed_action,
        created_at=row.created_at,
        verdict_id=answer.id if answer else None,
        action=answer.action if answer else None,
        labels=answer.labels if answer else None,
        reason=answer.reason if answer else None,
        answered_at=answer.created_at if answer else None,
    )
