"""Reviews: the queue of questions for people, and their states."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, case, exists, literal_column, or_, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from worker.domain.moderation.decision import QUARANTINED
from worker.domain.policies.policy import Action
from worker.domain.reviews.review import ClaimToken, ReviewKind, first_kind
from worker.domain.reviews.review import Routing as PlaceInQueue
from worker.store.decisions import decisions
from worker.store.decisions.decisions import RecordedDecision
from worker.store.engine.chunking import chunks
from worker.store.engine.clock import moment
from worker.store.engine.inserting import insert_into
from worker.store.engine.tables import AppealRow, DecisionRow, LabelScoreRow, ReviewRow

OPEN: Final = "open"
SETTLED: Final = "settled"
WITHDRAWN: Final = "withdrawn"
#: The condition that a review is open, as a literal: a partial index of open ones cannot match a parameter.
IS_OPEN: Final = ReviewRow.state == literal_column("'open'")
#: How many open reviews one search examines before it returns what it has found.
WINDOW: Final = 5_000
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
class ReviewFilters:
    """Which reviews to select; None matches any value."""

    queue: str | None = None
    #: A label that was flagged.
    label: str | None = None
    policy: str | None = None
    #: The kind of `Review.blinded`; for a blind kind, which only operators may ask for, the true kind.
    kind: ReviewKind | None = None
    #: The least severity, 1 to 5.
    severity: int | None = None
    #: Asked before this time.
    until: datetime | None = None

    @property
    def is_narrowed(self) -> bool:
        """Whether no index finds exactly the matching reviews, so that a search has to examine more.

        A blind review can be shown as any first kind, which depends on its decision.
        """
        by_kind = self.kind is not None and not self.kind.is_first and self == ReviewFilters(kind=self.kind)
        return not by_kind and self != ReviewFilters(queue=self.queue)

    def match(self, review: Any) -> bool:
        """Whether a row of a review and its decision matches."""
        return (
            self.queue in {None, review.queue}
            and (self.label is None or self.label in review.labels)
            and self.policy in {None, review.policy}
            and (self.kind is None or self.kind.value == self._kind_of(review))
            and (self.severity is None or review.severity >= self.severity)
            and (self.until is None or review.created_at < self.until)
        )

    def _kind_of(self, review: Any) -> str:
        kind: str = review.kind if self.kind and self.kind.is_blind else review.shown_kind
        return kind


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a decision, to be asked of a person; a larger priority comes first."""

    decision_id: int
    kind: ReviewKind
    place: PlaceInQueue
    for_lead: bool = False


#: The position of a review in the queue: its priority and its id.
Place = tuple[float, int]


@dataclass(frozen=True, slots=True)
class ReviewsFound:
    """A page of reviews."""

    #: Fewer than requested, or empty, if few of those examined match the filters.
    reviews: list[Review]
    #: Where the next page starts; None at the end.
    next: Place | None


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


def search(
    session: Session,
    filters: ReviewFilters,
    *,
    after: Place | None = None,
    limit: int,
    seen_by: str | None = None,
) -> ReviewsFound:
    """Return at most `limit` open reviews after `after`, in the queue's order, as `listed` selects them.

    An index finds queue, kind and severity. For the other filters at most `WINDOW` reviews of that index are
    examined.
    """
    most = WINDOW if filters.is_narrowed else limit + 1
    window: list[Any] = []
    for index_range in _ranges_after(after) if may_match(session, filters) else []:
        window += _most_urgent(session, _open(filters, seen_by), index_range, most - len(window))
    places: list[Place] = []
    for some in chunks(window):
        matching = _matching(session, filters, [one.id for one in some])
        places += [(one.priority, one.id) for one in some if one.id in matching]
        if len(places) > limit:
            break
    end = (window[-1].priority, window[-1].id) if len(window) == WINDOW else None
    following = places[limit - 1] if len(places) > limit else end
    return ReviewsFound(by_ids(session, [review_id for _, review_id in places[:limit]]), following)


def page(session: Session, filters: ReviewFilters, *, after: Place | None = None, limit: int) -> list[Review]:
    """Return what `search` finds, but examine any number of reviews until `limit` are found."""
    result = search(session, filters, after=after, limit=limit)
    found = result.reviews
    while result.next is not None and len(found) < limit:
        result = search(session, filters, after=result.next, limit=limit - len(found))
        found += result.reviews
    return found


def held_by(session: Session, reviewer: str, now: datetime) -> list[Review]:
    """Return the reviews that a person has claimed, the most urgent first."""
    query = _reviews().where(ReviewRow.claimed_by == reviewer, ReviewRow.claimed_until > now, IS_OPEN)
    # Sorted here: with ORDER BY SQLite would read the whole queue, not only what this person holds.
    return sorted(_read(session, query), key=lambda one: (-one.priority, one.id))


def may_match(session: Session, filters: ReviewFilters) -> bool:
    """Whether any decision at all has the label, and any the policy, of the filters."""
    wanted = []
    if filters.label is not None:
        wanted.append(exists().where(LabelScoreRow.label == filters.label, LabelScoreRow.flagged))
    if filters.policy is not None:
        wanted.append(exists().where(DecisionRow.policy == filters.policy))
    return all(session.scalar(select(one)) for one in wanted)


def meant(filters: ReviewFilters) -> Iterable[ColumnElement[bool]]:
    """Yield the conditions on reviews and their decisions."""
    if filters.queue is not None:
        yield ReviewRow.queue == filters.queue
    if filters.kind is not None:
        yield (ReviewRow.kind if filters.kind.is_blind else shown_kind()) == filters.kind.value
    if filters.until is not None:
        yield ReviewRow.created_at < filters.until
    if filters.severity is not None:
        # The severity is the integer part of the priority, which is indexed.
        yield ReviewRow.priority >= filters.severity
    yield from about(filters)


def listed(seen_by: str | None = None) -> ColumnElement[bool]:
    """Return the condition that an open review is in the list that this person sees.

    A golden item is listed while it is claimed, as any claimed review; for its own person it always is.
    """
    shown = or_(ReviewRow.claimed_until > moment(), ReviewRow.meant_for == seen_by)
    return or_(ReviewRow.kind != ReviewKind.GOLDEN.value, shown)


def shown_kind(row: type[ReviewRow] = ReviewRow) -> ColumnElement[str]:
    """Return the kind that the person who answers may know, as in `Review.blinded`."""
    blind = [kind.value for kind in ReviewKind if kind.is_blind]
    return case(
        (row.kind.not_in(blind), row.kind),
        (DecisionRow.reason.startswith(QUARANTINED, autoescape=True), ReviewKind.QUARANTINE.value),
        (DecisionRow.action == Action.ALLOW, ReviewKind.AUDIT.value),
        else_=ReviewKind.DECISION.value,
    )


def about(filters: ReviewFilters) -> Iterable[ColumnElement[bool]]:
    """Yield the conditions on decisions only."""
    if filters.label is not None:
        yield flagged([filters.label])
    if filters.policy is not None:
        yield DecisionRow.policy == filters.policy
    if filters.severity is not None:
        yield DecisionRow.severity >= filters.severity


def flagged(labels: Collection[str]) -> ColumnElement[bool]:
    """Return the condition that one of these labels is flagged on a decision.

    Not EXISTS, which PostgreSQL would turn into a join with every decision that the label is flagged on.
    """
    found = select(LabelScoreRow.decision_id).where(
        LabelScoreRow.decision_id == DecisionRow.id, LabelScoreRow.label.in_(labels), LabelScoreRow.flagged
    )
    return found.limit(1).correlate(DecisionRow).scalar_subquery().is_not(None)


def _ranges_after(after: Place | None) -> list[list[ColumnElement[bool]]]:
    """Return the index ranges after a position: reviews of the same priority, then of lower priorities."""
    if after is None:
        return [[]]
    priority, review_id = after
    return [[ReviewRow.priority == priority, ReviewRow.id > review_id], [ReviewRow.priority < priority]]


def _most_urgent(
    session: Session,
    queries: Sequence[Select[float, int]],
    index_range: Sequence[ColumnElement[bool]],
    limit: int,
) -> list[Any]:
    """Return the first reviews within a range, in the queue's order, that any of the queries finds."""
    found: list[Any] = []
    for query in queries:
        found += session.execute(
            query.where(*index_range).order_by(ReviewRow.priority.desc(), ReviewRow.id).limit(limit)
        )
    return sorted(found, key=lambda one: (-one.priority, one.id))[:limit]


def _open(filters: ReviewFilters, seen_by: str | None) -> list[Select[float, int]]:
    """Return queries of the open reviews that may match; each uses an index.

    One query for each kind: for several kinds at once no index has the queue's order.
    """
    query = select(ReviewRow.priority, ReviewRow.id)
    query = query.where(ReviewRow.state == OPEN, listed(seen_by))
    if filters.severity is not None:
        query = query.where(ReviewRow.priority >= filters.severity)
    if filters.kind is not None:
        blind = [kind for kind in ReviewKind if kind.is_blind] if filters.kind.is_first else []
        kinds = [filters.kind, *blind]
        return [query.where(ReviewRow.kind == kind.value) for kind in kinds]
    return [query if filters.queue is None else query.where(ReviewRow.queue == filters.queue)]


def _matching(session: Session, filters: ReviewFilters, ids: Sequence[int]) -> set[int]:
    """Return which of these few match the filters.

    Compared in Python: given conditions besides the ids, a database may read all rows that meet those.
    """
    query = select(
        ReviewRow.id,
        ReviewRow.queue,
        ReviewRow.kind,
        shown_kind().label("shown_kind"),
        ReviewRow.created_at,
        DecisionRow.labels,
        DecisionRow.policy,
        DecisionRow.severity,
    ).join(DecisionRow, DecisionRow.id == ReviewRow.decision_id)
    found = session.execute(query.where(ReviewRow.id.in_(ids)))
    return {one.id for one in found if filters.match(one)}


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
