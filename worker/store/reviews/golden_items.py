"""Golden items: decisions whose true answer is known."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from worker.domain.policies.policy import Action
from worker.store.engine.clock import moment
from worker.store.engine.inserting import insert_into
from worker.store.engine.tables import DecisionRow, GoldenItemRow, ReviewRow
from worker.store.reviews.reviews import OPEN


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
    #: When it was retired, and is no longer asked, in UTC; None while it is active.
    retired_at: datetime | None


def add(  # noqa: PLR0913 - an argument for each fact, all by name
    session: Session,
    *,
    decision_id: int,
    queue: str,
    action: Action,
    labels: frozenset[str],
    added_by: str,
) -> int | None:
    """Add a golden item and return its id; None if the decision is an active one already.

    A retired item becomes active again, with this answer.
    """
    columns = {"queue": queue, "action": action, "labels": sorted(labels), "added_by": added_by}
    row = insert_into(session, GoldenItemRow, decision_id=decision_id, **columns)
    once = row.on_conflict_do_update(
        index_elements=[GoldenItemRow.decision_id],
        set_={**columns, "retired_at": None},
        where=GoldenItemRow.retired_at.is_not(None),
    )
    return session.scalar(once.returning(GoldenItemRow.id))


def retire(session: Session, item: int) -> bool:
    """Stop asking a golden item; return False if there is no such item, or it is retired already."""
    retired = session.scalar(
        update(GoldenItemRow)
        .where(GoldenItemRow.id == item, GoldenItemRow.retired_at.is_(None))
        .values(retired_at=moment())
        .returning(GoldenItemRow.id)
        .execution_options(synchronize_session=False)
    )
    return retired is not None


def retire_of_decision(session: Session, decision_id: int) -> None:
    """Retire the golden item made of a decision, if there is one."""
    item = session.scalar(select(GoldenItemRow.id).where(GoldenItemRow.decision_id == decision_id))
    if item is not None:
        retire(session, item)


def open_questions(session: Session, item: int) -> list[int]:
    """Return the open reviews that ask a golden item."""
    query = select(ReviewRow.id).where(ReviewRow.golden_id == item, ReviewRow.state == OPEN)
    return list(session.scalars(query))


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
            row.retired_at,
        )
        for row, submission_id in session.execute(query.order_by(GoldenItemRow.id))
    ]
