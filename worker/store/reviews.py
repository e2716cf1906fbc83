"""Reviews: the queue of questions for people, and how each stands."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, case, or_, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from worker.domain.decision import QUARANTINED
from worker.domain.policy import Action
from worker.domain.review import ClaimToken, ReviewKind, first_kind
from worker.domain.review import Place as PlaceInQueue
from worker.store import decisions
from worker.store.column_types import utc_now
from worker.store.decisions import RecordedDecision
from worker.store.inserting import insert_into
from worker.store.tables import AppealRow, DecisionRow, LabelScoreRow, ReviewRow

OPEN: Final = "open"
SETTLED: Final = "settled"
WITHDRAWN: Final = "withdrawn"
#: What a review is when nobody has it in hand.
_FREE: Final = {"claimed_by": None, "claimed_until": None}


@dataclass(frozen=True, slots=True)
class Review:
    """A review as the database holds it, with the decision it is about."""

    id: int
    #: As it is; the person who answers may know `told.kind`.
    kind: ReviewKind
    #: open, settled or withdrawn.
    state: str
    queue: str
    #: Larger first.
    priority: float
    #: In UTC; None where it may wait.
    deadline_at: datetime | None
    for_lead: bool
    #: The one person a golden item is asked of; None for everybody.
    meant_for: str | None
    #: Why it was escalated; None where it was not.
    escalation: str | None
    claimed_by: str | None
    claimed_until: datetime | None
    fence: int
    #: When the source was found to have other bytes than those that were judged, in UTC; else None.
    picture_changed_at: datetime | None
    created_at: datetime
    #: Of whoever appeals; None where this is no appeal.
    statement: str | None
    decision: RecordedDecision

    @property
    def token(self) -> ClaimToken:
        """What its holder shows."""
        return ClaimToken(self.id, self.fence)

    @property
    def told(self) -> "Review":
        """Return what the person who answers may know: of a blind review, what a first look would be.

        A decision that was made long ago would give it away, and so would a block, which is asked about by
        appeals alone.
        """
        if not self.kind.is_blind:
            return self
        decision = replace(self.decision, created_at=self.created_at)
        if decision.action is Action.BLOCK:
            decision = replace(decision, action=Action.REVIEW, held_back=True)
        return replace(self, kind=first_kind(self.decision.action, self.decision.reason), decision=decision)

    def is_held(self, now: datetime) -> bool:
        """Whether somebody has it in hand."""
        return self.claimed_until is not None and self.claimed_until > now


@dataclass(frozen=True, slots=True)
class ReviewFilters:
    """Which reviews are meant; None leaves a field open."""

    queue: str | None = None
    #: A label that was flagged.
    label: str | None = None
    policy: str | None = None
    #: What the person who answers may know; a blind kind: what it is.
    kind: ReviewKind | None = None
    #: At least so grave, 1 to 5.
    severity: int | None = None
    #: Asked before then.
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """What a person is to be asked about a decision; a larger priority comes first."""

    decision_id: int
    kind: ReviewKind
    place: PlaceInQueue
    for_lead: bool = False


#: The place of a review in the queue: its priority and its id.
Place = tuple[float, int]


def ask(
    session: Session, decision_id: int, kind: ReviewKind, place: PlaceInQueue, *, for_lead: bool = False
) -> int | None:
    """Ask a question about a decision, anew where it was withdrawn; None where it was asked before."""
    row = _row(Question(decision_id, kind, place, for_lead=for_lead))
    return session.scalar(_asking(session).returning(ReviewRow.id), row)


def ask_all(session: Session, questions: Sequence[Question]) -> None:
    """Ask questions as `ask` does, in one go."""
    if questions:
        session.connection().execute(_asking(session), [_row(question) for question in questions])


def settle(session: Session, review_ids: Collection[int]) -> None:
    """Note that these are answered."""
    _update(session, ReviewRow.id.in_(review_ids), state=SETTLED, **_FREE)


def withdraw(session: Session, review_ids: Collection[int]) -> None:
    """Note that these are no questions any more; a claim of one is outdated."""
    _update(session, ReviewRow.id.in_(review_ids), state=WITHDRAWN, fence=ReviewRow.fence + 1, **_FREE)


def note_picture_changed(session: Session, decision_id: int) -> bool:
    """Note on the open reviews of a decision that its picture changed; return False if all say so already."""
    noted = session.scalars(
        update(ReviewRow)
        .where(
            ReviewRow.decision_id == decision_id,
            ReviewRow.state == OPEN,
            ReviewRow.picture_changed_at.is_(None),
        )
        .values(picture_changed_at=utc_now())
        .returning(ReviewRow.id)
        .execution_options(synchronize_session=False)
    )
    return bool(noted.all())


def find(session: Session, review_id: int) -> Review | None:
    """Return a review, whatever its state."""
    return next(iter(by_ids(session, [review_id])), None)


def by_ids(session: Session, ids: Sequence[int]) -> list[Review]:
    """Return these reviews, in the order of the ids."""
    found = {review.id: review for review in _read(session, _reviews().where(ReviewRow.id.in_(ids)))}
    return [found[one] for one in ids if one in found]


def of_decision(session: Session, decision_id: int) -> list[Review]:
    """Return every review about a decision but golden ones, oldest first; nobody changes them meanwhile."""
    query = select(ReviewRow.id).where(
        ReviewRow.decision_id == decision_id, ReviewRow.kind != ReviewKind.GOLDEN
    )
    ids = session.scalars(query.order_by(ReviewRow.id).with_for_update()).all()
    return by_ids(session, ids)


def page(session: Session, filters: ReviewFilters, *, after: Place | None = None, limit: int) -> list[Review]:
    """Return at most `limit` open reviews in the queue's order, from the one behind `after` on; no golden."""
    query = (
        _reviews()
        .join(DecisionRow, DecisionRow.id == ReviewRow.decision_id)
        .where(ReviewRow.state == OPEN, ReviewRow.kind != ReviewKind.GOLDEN, *meant(filters))
        .order_by(ReviewRow.priority.desc(), ReviewRow.id)
        .limit(limit)
    )
    if after is not None:
        priority, review_id = after
        same = and_(ReviewRow.priority == priority, ReviewRow.id > review_id)
        query = query.where(or_(ReviewRow.priority < priority, same))
    return _read(session, query)


def held_by(session: Session, reviewer: str, now: datetime) -> list[Review]:
    """Return the reviews that a person has in hand, the most urgent first."""
    query = _reviews().where(
        ReviewRow.claimed_by == reviewer, ReviewRow.claimed_until > now, ReviewRow.state == OPEN
    )
    return _read(session, query.order_by(ReviewRow.priority.desc(), ReviewRow.id))


def meant(filters: ReviewFilters) -> Iterable[ColumnElement[bool]]:
    """Yield the conditions on reviews and their decisions."""
    if filters.queue is not None:
        yield ReviewRow.queue == filters.queue
    if filters.kind is not None:
        yield (ReviewRow.kind if filters.kind.is_blind else told_kind()) == filters.kind.value
    if filters.until is not None:
        yield ReviewRow.created_at < filters.until
    yield from about(filters)


def told_kind() -> ColumnElement[str]:
    """Return the kind that the person who answers may know, as `Review.told` has it."""
    blind = [kind.value for kind in ReviewKind if kind.is_blind]
    return case(
        (ReviewRow.kind.not_in(blind), ReviewRow.kind),
        (DecisionRow.reason.startswith(QUARANTINED, autoescape=True), ReviewKind.QUARANTINE.value),
        (DecisionRow.action == Action.ALLOW, ReviewKind.AUDIT.value),
        else_=ReviewKind.DECISION.value,
    )


def about(filters: ReviewFilters) -> Iterable[ColumnElement[bool]]:
    """Yield the conditions on decisions alone."""
    if filters.label is not None:
        yield flagged([filters.label])
    if filters.policy is not None:
        yield DecisionRow.policy == filters.policy
    if filters.severity is not None:
        yield DecisionRow.severity >= filters.severity


def flagged(labels: Collection[str]) -> ColumnElement[bool]:
    """Return the condition that one of these labels is flagged on a decision."""
    return (
        select(LabelScoreRow.decision_id)
        .where(
            LabelScoreRow.decision_id == DecisionRow.id,
            LabelScoreRow.label.in_(labels),
            LabelScoreRow.flagged,
        )
        .correlate(DecisionRow)
        .exists()
    )


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
    # What the session remembers of a row may be older than what it has written since.
    found = session.execute(query.execution_options(populate_existing=True)).all()
    about_what = decisions.by_ids(session, [row.decision_id for row, _ in found])
    return [_review(row, statement, about_what[row.decision_id]) for row, statement in found]


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
