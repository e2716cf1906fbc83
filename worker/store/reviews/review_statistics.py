"""Statistics of reviews and verdicts."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Integer, String, and_, cast, func, select
from sqlalchemy.orm import Session, aliased

from worker.domain.policies.policy import Action
from worker.domain.reviews.review import ReviewKind
from worker.store.engine.chunking import chunks
from worker.store.engine.tables import GIVEN, DecisionRow, GoldenItemRow, ReviewRow, VerdictRow
from worker.store.reviews.review_search import listed
from worker.store.reviews.reviews import IS_OPEN
from worker.store.reviews.verdicts import in_force, is_not_reversed

#: Only this number of the newest pairs is evaluated: more would not change the result.
MAX_PAIRS: Final = 20_000
_FIRST: Final = [kind.value for kind in ReviewKind if kind.is_first]


@dataclass(frozen=True, slots=True)
class OpenByQueue:
    """The open reviews of one queue."""

    queue: str
    open: int
    #: Of these: claimed, past their deadline, for a lead.
    claimed: int
    overdue: int
    for_lead: int
    #: In UTC.
    oldest_at: datetime


@dataclass(frozen=True, slots=True)
class DayCount:
    """How many verdicts with an action one person gave on one day, in UTC."""

    #: YYYY-MM-DD.
    day: str
    reviewer: str
    action: Action
    count: int


@dataclass(frozen=True, slots=True)
class LabelCount:
    """How often people agreed with a label."""

    label: str
    #: Flagged, and answered by a person.
    flagged: int
    #: Of these: confirmed by the person (true positives).
    right: int
    #: Not flagged, but found by a person (false negatives).
    missed: int

    @property
    def precision(self) -> float | None:
        """The share of flagged pictures that the label truly applies to; None if none was flagged."""
        return self.right / self.flagged if self.flagged else None


@dataclass(frozen=True, slots=True)
class GivenAnswer:
    """One person's answer."""

    reviewer: str
    action: Action
    labels: frozenset[str]


@dataclass(frozen=True, slots=True)
class Looks:
    """Two answers about one picture, the second given blind."""

    policy: str
    first: GivenAnswer
    second: GivenAnswer


@dataclass(frozen=True, slots=True)
class GoldenAnswer:
    """An answer to a golden item, and the known right answer."""

    policy: str
    given: GivenAnswer
    action: Action
    labels: frozenset[str]


def backlog(session: Session, now: datetime) -> list[OpenByQueue]:
    """Return the open reviews of each queue."""
    query = (
        select(
            ReviewRow.queue,
            func.count(),
            _count_if(ReviewRow.claimed_until > now),
            _count_if(ReviewRow.deadline_at < now),
            _count_if(ReviewRow.for_lead),
            func.min(ReviewRow.created_at),
        )
        .where(IS_OPEN, listed())
        .group_by(ReviewRow.queue)
        .order_by(ReviewRow.queue)
    )
    return [OpenByQueue(*row) for row in session.execute(query)]


def throughput(session: Session, since: datetime) -> list[DayCount]:
    """Return how many verdicts people gave, by day, person and action; inherited ones do not count."""
    day = _day(session, VerdictRow.created_at).label("day")
    query = (
        select(day, VerdictRow.reviewer, VerdictRow.action, func.count())
        .where(VerdictRow.created_at >= since, GIVEN, is_not_reversed())
        .group_by(day, VerdictRow.reviewer, VerdictRow.action)
        .order_by(day, VerdictRow.reviewer, VerdictRow.action)
    )
    return [DayCount(*row) for row in session.execute(query)]


def labels(session: Session, since: datetime) -> list[LabelCount]:
    """Return how often each label was right or missed, by the verdicts in force; sorted by name."""
    given = select(VerdictRow.id, VerdictRow.submission_id, VerdictRow.decision_id, VerdictRow.labels).where(
        VerdictRow.created_at >= since, GIVEN, VerdictRow.picture_seen
    )
    flagged, right, missed = Counter[str](), Counter[str](), Counter[str]()
    for some in chunks(session.execute(given).all()):
        current = _in_force_of(session, {one.submission_id for one in some})
        seen = _flagged_on(session, {one.decision_id for one in some})
        for verdict_id, _, decision_id, named in some:
            if verdict_id in current:
                flagged.update(seen[decision_id])
                right.update(seen[decision_id].intersection(named))
                missed.update(set(named).difference(seen[decision_id]))
    return [
        LabelCount(label, flagged[label], right[label], missed[label])
        for label in sorted(flagged.keys() | missed.keys())
    ]


def _in_force_of(session: Session, submission_ids: Collection[str]) -> set[int]:
    """Return the ids of the verdicts in force on these submissions."""
    latest = select(func.max(VerdictRow.id)).where(VerdictRow.submission_id.in_(submission_ids), in_force())
    return set(session.scalars(latest.group_by(VerdictRow.submission_id)))


def _flagged_on(session: Session, decision_ids: Collection[int]) -> dict[int, set[str]]:
    query = select(DecisionRow.id, DecisionRow.labels).where(DecisionRow.id.in_(decision_ids))
    return {decision_id: set(labels) for decision_id, labels in session.execute(query)}


def second_looks(session: Session, since: datetime) -> list[Looks]:
    """Return first and second answers about the same decisions, the newest `MAX_PAIRS`."""
    first, second = aliased(VerdictRow), aliased(VerdictRow)
    asked_first, asked_second = aliased(ReviewRow), aliased(ReviewRow)
    query = (
        select(DecisionRow.policy, *_answer(first), *_answer(second))
        .select_from(second)
        .join(
            asked_second,
            and_(asked_second.id == second.review_id, asked_second.kind == ReviewKind.SECOND.value),
        )
        .join(DecisionRow, DecisionRow.id == second.decision_id)
        .join(first, first.decision_id == second.decision_id)
        .join(asked_first, and_(asked_first.id == first.review_id, asked_first.kind.in_(_FIRST)))
        .where(second.created_at >= since, second.inherited_from.is_(None))
        .where(is_not_reversed(first), is_not_reversed(second))
        .where(first.picture_seen, second.picture_seen)
        .order_by(second.created_at.desc(), second.id.desc())
        .limit(MAX_PAIRS)
    )
    return [Looks(row[0], _given(row[1:4]), _given(row[4:7])) for row in session.execute(query)]


def golden_answers(session: Session, since: datetime) -> list[GoldenAnswer]:
    """Return the answers to golden items that are not retired, the newest `MAX_PAIRS`."""
    query = (
        select(DecisionRow.policy, *_answer(VerdictRow), GoldenItemRow.action, GoldenItemRow.labels)
        .select_from(VerdictRow)
        .join(ReviewRow, ReviewRow.id == VerdictRow.review_id)
        .join(GoldenItemRow, GoldenItemRow.id == ReviewRow.golden_id)
        .join(DecisionRow, DecisionRow.id == GoldenItemRow.decision_id)
        .where(VerdictRow.created_at >= since, GIVEN, is_not_reversed(), VerdictRow.picture_seen)
        .where(GoldenItemRow.retired_at.is_(None))
        .order_by(VerdictRow.created_at.desc(), VerdictRow.id.desc())
        .limit(MAX_PAIRS)
    )
    return [
        GoldenAnswer(row[0], _given(row[1:4]), row[4], frozenset(row[5])) for row in session.execute(query)
    ]


def _answer(row: Any) -> tuple[Any, Any, Any]:
    return row.reviewer, row.action, row.labels


def _given(columns: Sequence[Any]) -> GivenAnswer:
    reviewer, action, names = columns
    return GivenAnswer(reviewer, action, frozenset(names))


def _count_if(condition: ColumnElement[bool] | Any) -> ColumnElement[int]:
    return func.coalesce(func.sum(cast(condition, Integer)), 0)


def _day(session: Session, moment: Any) -> ColumnElement[str]:
    if _is_postgresql(session):
        return func.to_char(func.timezone("UTC", moment), "YYYY-MM-DD", type_=String)
    return func.strftime("%Y-%m-%d", moment, type_=String)


def _is_postgresql(session: Session) -> bool:
    return session.get_bind().dialect.name == "postgresql"
