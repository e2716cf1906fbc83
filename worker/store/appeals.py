"""Appeals: decisions that the platform asks a second person about."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from worker.domain.policy import Action


@dataclass(frozen=True, slots=True)
class Appeal:
    """An appeal and how it stands."""

    id: int
    decision_id: int
    submission_id: str
    review_id: int
    statement: str
    #: What was in force when it was opened.
    appealed_action: Action
    created_at: datetime
    #: The answer; None while it is open.
    verdict_id: int | None
    action: Action | None
    labels: tuple[str, ...] | None
    reason: str | None
    answered_at: datetime | None


def find(session: Session, appeal_id: int) -> Appeal | None:
    """Return an appeal with its answer."""
    raise NotImplementedError
