"""Reviews: the queue of questions for people."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert
from sqlalchemy.orm import Session

from worker.domain.policy import DEFAULT_QUEUE
from worker.domain.review import ClaimToken, ReviewKind
from worker.store.decisions import RecordedDecision
from worker.store.tables import ReviewRow


@dataclass(frozen=True, slots=True)
class Review:
    """A review as the database holds it, with the decision it is about."""

    id: int
    #: As it is; whoever answers may be told `kind.told`.
    kind: ReviewKind
    #: open, settled or withdrawn.
    state: str
    queue: str
    #: Larger first.
    priority: float
    #: In UTC; None where it may wait.
    deadline_at: datetime | None
    for_lead: bool
    #: Why it was escalated; None where it was not.
    escalation: str | None
    claimed_by: str | None
    claimed_until: datetime | None
    fence: int
    created_at: datetime
    #: Of whoever appeals; None where this is no appeal.
    statement: str | None
    decision: RecordedDecision

    @property
    def token(self) -> ClaimToken:
        """What its holder shows."""
        return ClaimToken(self.id, self.fence)


@dataclass(frozen=True, slots=True)
class ReviewFilters:
    """Which reviews are meant; None leaves a field open."""

    queue: str | None = None
    #: A label that was flagged.
    label: str | None = None
    policy: str | None = None
    kind: ReviewKind | None = None
    #: At least so grave, 1 to 5.
    severity: int | None = None


#: The place of a review in the queue: its priority and its id.
Place = tuple[float, int]


def open_for(  # noqa: PLR0913 - an argument for each fact
    session: Session,
    decision_id: int,
    priority: float,
    kind: ReviewKind,
    *,
    queue: str = DEFAULT_QUEUE,
    deadline_at: datetime | None = None,
) -> None:
    """Put a decision in the queue; a larger `priority` comes first."""
    session.execute(
        insert(ReviewRow).values(
            decision_id=decision_id,
            kind=kind.value,
            state="open",
            priority=priority,
            queue=queue,
            deadline_at=deadline_at,
        )
    )


def find(session: Session, review_id: int) -> Review | None:
    """Return a review, whatever its state."""
    raise NotImplementedError


def page(session: Session, filters: ReviewFilters, *, after: Place | None = None, limit: int) -> list[Review]:
    """Return at most `limit` open reviews in the queue's order, from the one behind `after` on; no golden."""
    raise NotImplementedError


def held_by(session: Session, reviewer: str, now: datetime) -> list[Review]:
    """Return the reviews that a person has in hand, the most urgent first."""
    raise NotImplementedError
