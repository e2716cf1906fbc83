"""Counts open reviews for the desk's filters, up to a bound."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session, aliased

from worker.store.engine.tables import DecisionRow, ReviewRow
from worker.store.reviews import review_search
from worker.store.reviews.reviews import IS_OPEN

#: Only this number of the most urgent reviews is counted, so that a long queue does not slow the page.
MOST: Final = 2_000


@dataclass(frozen=True, slots=True)
class OpenReviews:
    """Numbers of open reviews, as `review_search.listed` selects them; each mapping is sorted by name."""

    total: int
    overdue: int
    for_lead: int
    #: Every queue that has open reviews, counted or not.
    queues: Mapping[str, int]
    policies: Mapping[str, int]
    #: By the kind that the person who answers may know.
    kinds: Mapping[str, int]
    #: By flagged label; a review can count for several.
    labels: Mapping[str, int]
    #: Whether there are more than were counted.
    is_capped: bool = False


def waiting(session: Session, now: datetime, seen_by: str | None = None) -> OpenReviews:
    """Count the open reviews, at most the `MOST` most urgent ones."""
    open_ones = select(ReviewRow).where(IS_OPEN, review_search.listed(seen_by))
    row = aliased(
        ReviewRow, open_ones.order_by(ReviewRow.priority.desc(), ReviewRow.id).limit(MOST + 1).subquery()
    )
    kind = review_search.shown_kind(row).label("shown_kind")
    rows = session.execute(
        select(row.queue, kind, row.for_lead, row.deadline_at, DecisionRow.policy, DecisionRow.labels).join(
            DecisionRow, DecisionRow.id == row.decision_id
        )
    ).all()
    counted = rows[:MOST]
    queues = Counter(dict.fromkeys(_queues(session), 0) if len(rows) > MOST else {})
    queues.update(one.queue for one in counted)
    return OpenReviews(
        total=len(counted),
        overdue=sum(one.deadline_at is not None and one.deadline_at <= now for one in counted),
        for_lead=sum(one.for_lead for one in counted),
        queues=_by_name(queues),
        policies=_by_name(Counter(one.policy for one in counted)),
        kinds=_by_name(Counter(one.shown_kind for one in counted)),
        labels=_by_name(Counter(label for one in counted for label in one.labels)),
        is_capped=len(rows) > MOST,
    )


def _queues(session: Session) -> list[str]:
    """Return the queues that have open reviews, with one index lookup for each queue."""
    row = aliased(ReviewRow)
    found = select(func.min(row.queue).label("queue")).cte(recursive=True)
    following = select(func.min(row.queue)).where(row.queue > found.c.queue).scalar_subquery()
    found = found.union_all(select(following).where(found.c.queue.is_not(None)))
    is_open = exists().where(ReviewRow.queue == found.c.queue, IS_OPEN)
    return list(session.scalars(select(found.c.queue).where(is_open)))


def _by_name(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items()))
