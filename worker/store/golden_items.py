"""Golden items: decisions whose true answer is known."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from worker.domain.policy import Action
from worker.store.inserting import insert_into
from worker.store.tables import DecisionRow, GoldenItemRow


@dataclass(frozen=True, slots=True)
class GoldenItem:
    """A golden item as the database holds it."""

    id: int
    decision_id: int
    submission_id: str
    queue: str
    #: The known answer.
    action: Action
    labels: tuple[str, ...]
    added_by: str
    #: In UTC.
    created_at: datetime


def add(  # noqa: PLR0913 - an argument for each fact, all by name
    session: Session,
    *,
    decision_id: int,
    queue: str,
    action: Action,
    labels: frozenset[str],
    added_by: str,
) -> int | None:
    """Add a golden item and return its id; None where the decision is one already."""
    row = insert_into(
        session,
        GoldenItemRow,
        decision_id=decision_id,
        queue=queue,
        action=action,
        labels=sorted(labels),
        added_by=added_by,
    )
    once = row.on_conflict_do_nothing(index_elements=[GoldenItemRow.decision_id])
    return session.scalar(once.returning(GoldenItemRow.id))


def everything(session: Session) -> list[GoldenItem]:
    """Return all golden items, oldest first."""
    query = select(GoldenItemRow, DecisionRow.submission_id).join(
        DecisionRow, DecisionRow.id == GoldenItemRow.decision_id
    )
    return [
        GoldenItem(
            row.id,
            row.decision_id,
            submission_id,
            row.queue,
            row.action,
            tuple(row.labels),
            row.added_by,
            row.created_at,
        )
        for row, submission_id in session.execute(query.order_by(GoldenItemRow.id))
    ]
