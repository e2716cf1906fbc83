"""Reviews: questions for people about decisions, and their states from asked to settled or withdrawn."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, literal_column, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from worker.domain.policies.policy import Action
from worker.domain.reviews.review import ClaimToken, ReviewKind, first_kind
from worker.domain.reviews.review import Routing as PlaceInQueue
from worker.store.decisions import decisions
from worker.store.decisions.decisions import RecordedDecision
from worker.store.engine.clock import moment
from worker.store.engine.inserting import insert_into
from worker.store.engine.tables import AppealRow, ReviewRow

OPEN: Final = "open"
SETTLED: Final = "settled"
WITHDRAWN: Final = "withdrawn"
#: The condition that a review is open, as a literal: a partial index of open ones cannot match a parameter.
IS_OPEN: Final = ReviewRow.state == literal_column("'open'")
#: The columns of a review that is not claimed.
_FREE: Final = {"claimed_by": None, "claimed_until": None}


@dataclass(frozen=True, slots=True)
class Review:
    """A review as the database holds it, with the decision it is about."""

    id: int
    #: The true kind; the person who answers may know only `blinded.kind`.
    kind: ReviewKind
    #: open, settled or withdrawn.
    state: str
    queue: str
    #: Larger first.
    priority: float
    #: In UTC; None if it has no deadline.
    deadline_at: datetime | None
    for_lead: bool
    #: The one person a golden item is asked of; None for everybody.
    meant_for: str | None
    #: Why it was escalated; None if it was not.
    escalation: str | None
    claimed_by: str | None
    claimed_until: datetime | None
    fence: int
    #: When the source was found to have other bytes than those that were judged, in UTC; None if it was not.
    picture_changed_at: datetime | None
    created_at: datetime
    #: The appellant's; None if this is not an appeal.
    statement: str | None
    decision: RecordedDecision

    @property
    def token(self) -> ClaimToken:
        """The token that its holder presents."""
        return ClaimToken(self.id, self.fence)

    @property
    def blinded(self) -> "Review":
        """Return what the person who answers may know: a blind review looks like a first look.

        An old decision would reveal a blind review, so that first looks too show the review's time instead
        of the decision's. A block would reveal it as well, since only appeals ask about one.
        """
        if not (self.kind.is_blind or self.kind.is_first):
            return self
        decision = replace(self.decision, created_at=self.created_at)
        if self.kind.is_first:
            return replace(self, decision=decision)
        if decision.action is Action.BLOCK:
            decision = replace(decision, action=Action.REVIEW, held_back=True)
        return replace(self, kind=first_kind(self.decision.action, self.decision.reason), decision=decision)

    def is_held(self, now: datetime) -> bool:
        """Whether a person has claimed it, and the lease has not expired."""
        return self.claimed_until is not None and self.claimed_until > now


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a decision, to be asked of a person; a larger priority comes first."""

    decision_id: int
    kind: ReviewKind
    place: PlaceInQueue
    for_lead: bool = False


def ask(
    session: Session, decision_id: int, kind: ReviewKind, place: PlaceInQueue, *, for_lead: bool = False
) -> int | None:
    """Add a review of a decision, or reopen it if it was withdrawn; None if it was asked before."""
    row = _row(Question(decision_id, kind, place, for_lead=for_lead))
    return session.scalar(_asking(session).returning(ReviewRow.id), row)


def ask_all(session: Session, questions: Sequence[Question]) -> None:
    """Ask several questions in one statement, as `ask` does."""
    if questions:
        session.connection().execute(_asking(session), [_row(question) for question in questions])


def settle(session: Session, review_ids: Collection[int]) -> None:
    """Mark these as answered."""
    _update(session, ReviewRow.id.in_(review_ids), state=SETTLED, **_FREE)


def withdraw(session: Session, review_ids: Collection[int]) -> None:
    """Mark these as withdrawn, and invalidate their claims."""
    _update(session, ReviewRow.id.in_(review_ids), state=WITHDRAWN, fence=ReviewRow.fence + 1, **_FREE)


def note_picture_changed(session: Session, decision_id: int) -> bool:
    """Mark the open reviews of a decision whose picture changed; return False if all are marked already."""
    noted = session.scalars(
        update(ReviewRow)
        .where(
            ReviewRow.decision_id == decision_id,
            ReviewRow.state == OPEN,
            ReviewRow.picture_changed_at.is_(None),
        )
        .values(picture_changed_at=moment())
        .returning(ReviewRow.id)
        .execution_options(synchronize_session=False)
    )
    return bool(noted.all())


def find(session: Session, review_id: int) -> Review | None:
    """Return a review in any state, if there is one with this id."""
    return next(iter(by_ids(session, [review_id])), None)


def by_ids(session: Session, ids: Sequence[int]) -> list[Review]:
    """Return these reviews, in the order of the ids."""
    found = {review.id: review for review in _read(session, _reviews().where(ReviewRow.id.in_(ids)))}
    return [found[one] for one in ids if one in found]


def of_decision(session: Session, decision_id: int) -> list[Review]:
    """Return and lock every review about a decision except golden ones, oldest first."""
    query = select(ReviewRow.id).where(
        ReviewRow.decision_id == decision_id, ReviewRow.kind != ReviewKind.GOLDEN
    )
    ids = session.scalars(query.order_by(ReviewRow.id).with_for_update()).all()
    return by_ids(session, ids)


def held_by(session: Session, reviewer: str, now: datetime) -> list[Review]:
    """Return the reviews that a person has claimed, the most urgent first."""
    query = _reviews().where(ReviewRow.claimed_by == reviewer, ReviewRow.claimed_until > now, IS_OPEN)
    # Sorted here: with ORDER BY SQLite would read the whole queue, not only what this person holds.
    return sorted(_read(session, query), key=lambda one: (-one.priority, one.id))


def _update(session: Session, which: ColumnElement[bool], **values: object) -> None:
    session.execute(
        update(ReviewRow).where(which).values(**values).execution_options(synchronize_session=False)
    )


def _asking(session: Session) -> sqlite.Insert | postgresql.Insert:
    insert = insert_into(session, ReviewRow)
    again = {
        name: insert.excluded[name] for name in ("state", "priority", "queue", "deadline_at", "for_lead")
    }
    return insert.on_conflict_do_update(
        index_elements=[ReviewRow.decision_id, ReviewRow.kind],
        index_where=text("kind <> 'golden'"),
        set_={**again, **_FREE, "escalation": None, "fence": ReviewRow.fence + 1},
        where=ReviewRow.state == WITHDRAWN,
    )


def _row(question: Question) -> dict[str, Any]:
    return {
        "decision_id": question.decision_id,
        "kind": question.kind.value,
        "state": OPEN,
        "priority": question.place.priority,
        "queue": question.place.queue,
        "deadline_at": question.place.deadline_at,
        "for_lead": question.for_lead,
    }


def _reviews() -> Select[ReviewRow, str | None]:
    return select(ReviewRow, AppealRow.statement).outerjoin(AppealRow, AppealRow.review_id == ReviewRow.id)


def _read(session: Session, query: Select[ReviewRow, str | None]) -> list[Review]:
    # A row in the session's identity map may be older than what was written since.
    found = session.execute(query.execution_options(populate_existing=True)).all()
    by_id = decisions.by_ids(session, [row.decision_id for row, _ in found])
    return [_review(row, statement, by_id[row.decision_id]) for row, statement in found]


def _review(row: ReviewRow, statement: str | None, decision: RecordedDecision) -> Review:
    return Review(
        id=row.id,
        kind=ReviewKind(row.kind),
        state=row.state,
        queue=row.queue,
        priority=row.priority,
        deadline_at=row.deadline_at,
        for_lead=row.for_lead,
        meant_for=row.meant_for,
        escalation=row.escalation,
        claimed_by=row.claimed_by,
        claimed_until=row.claimed_until,
        fence=row.fence,
        picture_changed_at=row.picture_changed_at,
        created_at=row.created_at,
        statement=statement,
        decision=decision,
    )
