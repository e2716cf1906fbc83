"""Reviews: the queue of questions for people."""

from sqlalchemy import insert
from sqlalchemy.orm import Session

from worker.domain.review import ReviewKind
from worker.store.tables import ReviewRow


def open_for(session: Session, decision_id: int, priority: float, kind: ReviewKind) -> None:
    """Put a decision in the queue; a larger `priority` comes first."""
    session.execute(
        insert(ReviewRow).values(decision_id=decision_id, kind=kind.value, state="open", priority=priority)
    )
