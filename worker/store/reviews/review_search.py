"""Searches the queue of open reviews: by filters, in the queue's order, a page at a time."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, case, exists, or_, select
from sqlalchemy.orm import Session

from worker.domain.moderation.decision import QUARANTINED
from worker.domain.policies.policy import Action
from worker.domain.reviews.review import ReviewKind
from worker.store.engine.chunking import chunks
from worker.store.engine.clock import moment
from worker.store.engine.tables import DecisionRow, LabelScoreRow, ReviewRow
from worker.store.reviews import reviews
from worker.store.reviews.reviews import OPEN, Review

#: How many open reviews one search examines before it returns what it has found.
WINDOW: Final = 5_000


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


#: The position of a review in the queue: its priority and its id.
Place = tuple[float, int]


@dataclass(frozen=True, slots=True)
class ReviewsFound:
    """A page of reviews."""

    #: Fewer than requested, or empty, if few of those examined match the filters.
    reviews: list[Review]
    #: Where the next page starts; None at the end.
    next: Place | None


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
    return ReviewsFound(reviews.by_ids(session, [review_id for _, review_id in places[:limit]]), following)


def page(session: Session, filters: ReviewFilters, *, after: Place | None = None, limit: int) -> list[Review]:
    """Return what `search` finds, but examine any number of reviews until `limit` are found."""
    result = search(session, filters, after=after, limit=limit)
    found = result.reviews
    while result.next is not None and len(found) < limit:
        result = search(session, filters, after=result.next, limit=limit - len(found))
        found += result.reviews
    return found


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
