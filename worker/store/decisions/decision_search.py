"""Lists decisions by filters, newest first: each page reads a bounded number of rows of one index.

Without a label or a reference an index answers every combination of filters. Otherwise an index lists the
decisions with that label, or the submissions with that reference, and the other filters are applied to at
most `WINDOW` of them at a time.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, literal, select, tuple_
from sqlalchemy.orm import Session

from worker.domain.policies.policy import Action
from worker.store.decisions import decisions
from worker.store.decisions.decisions import RecordedDecision
from worker.store.engine.chunking import chunks
from worker.store.engine.tables import DecisionRow, LabelScoreRow, SubmissionRow

#: How many rows of an index one search examines before it returns what it has found.
WINDOW: Final = 5_000
#: By how much the order of ids and the order of times may differ, since workers' clocks do.
_CLOCKS_DIFFER: Final = timedelta(hours=1)
#: The resolution of times in databases.
_TICK: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Filters:
    """Which decisions to select; None matches any value."""

    action: Action | None = None
    #: A label that was flagged.
    label: str | None = None
    policy: str | None = None
    #: The time of the decision: at or after `since`, before `until`; both with a time zone.
    since: datetime | None = None
    until: datetime | None = None
    reference: str | None = None

    def match(self, decision: Any) -> bool:
        """Whether a decision matches, apart from its reference."""
        return (
            self.action in {None, decision.action}
            and self.policy in {None, decision.policy}
            and (self.label is None or self.label in decision.labels)
            and (self.since is None or decision.created_at >= self.since)
            and (self.until is None or decision.created_at < self.until)
        )


@dataclass(frozen=True, slots=True)
class Cursor:
    """A position in a list: where the next page begins."""

    #: The time of the decision or, in a search by reference, of the submission.
    at: datetime
    #: 0: after every decision of the submission.
    decision_id: int
    #: Only in a search by reference.
    submission_id: str | None = None


@dataclass(frozen=True, slots=True)
class DecisionsFound:
    """A page of decisions."""

    #: Fewer than requested, or empty, if few of those examined match the filters.
    decisions: list[RecordedDecision]
    #: Where the next page begins; None at the end.
    next: Cursor | None


def search(session: Session, filters: Filters, *, after: Cursor | None = None, limit: int) -> DecisionsFound:
    """Return at most `limit` decisions after `after`, newest first; by reference, newest uploads first."""
    if filters.reference is not None:
        return _by_reference(session, filters, filters.reference, after, limit)
    if filters.label is not None:
        return _by_label(session, filters, filters.label, after, limit)
    return _by_time(session, filters, after, limit)


def latest(
    session: Session, *, action: Action | None = None, label: str | None = None, limit: int
) -> list[RecordedDecision]:
    """Return the newest `limit` decisions, with an action or a flagged label if given, however old."""
    filters = Filters(action=action, label=label)
    page = search(session, filters, limit=limit)
    found = page.decisions
    while page.next is not None and len(found) < limit:
        page = search(session, filters, after=page.next, limit=limit - len(found))
        found += page.decisions
    return found


def _by_time(session: Session, filters: Filters, after: Cursor | None, limit: int) -> DecisionsFound:
    """Read one range of the index that starts with the filtered columns and continues with the time.

    The conditions are bounds, not equations: with equations PostgreSQL would drop these columns from the
    order, and then follow the index of times past every row that does not match.
    """
    filtered = {DecisionRow.policy: filters.policy, DecisionRow.action: filters.action}
    prefix = {column: value for column, value in filtered.items() if value is not None}
    order = (*prefix, DecisionRow.created_at, DecisionRow.id)
    lower = [*prefix.values(), *([filters.since] if filters.since else [])]
    uppers = [[*prefix.values(), *([filters.until - _TICK] if filters.until else [])]]
    if after is not None:
        uppers.append([*prefix.values(), after.at, after.decision_id - 1])
    query = select(DecisionRow.id, DecisionRow.created_at)
    if lower:
        query = query.where(_tuple(order, lower) >= _values(order, lower))
    # Never "less than": PostgreSQL would expect no rows of a policy, and then read the whole table.
    query = query.where(*(_tuple(order, upper) <= _values(order, upper) for upper in uppers if upper))
    rows = session.execute(query.order_by(*(column.desc() for column in order)).limit(limit + 1))
    return _found(session, [Cursor(at, decision_id) for decision_id, at in rows], limit, end=None)


def _by_label(
    session: Session, filters: Filters, label: str, after: Cursor | None, limit: int
) -> DecisionsFound:
    """Follow the index of flagged labels, which has decision ids: these increase with time."""
    column = LabelScoreRow.decision_id
    query = select(column).where(LabelScoreRow.label == label, LabelScoreRow.flagged)
    query = query.where(*_id_bounds(session, filters, column))
    if after is not None:
        query = query.where(column < after.decision_id)
    is_narrowed = filters != Filters(label=label)
    window = session.scalars(query.order_by(column.desc()).limit(WINDOW if is_narrowed else limit + 1)).all()
    places: list[Cursor] = []
    for ids in chunks(window):
        found = _matching(session, filters, DecisionRow.id.in_(ids))
        places += [Cursor(one.created_at, one.id) for one in found]
        if len(places) > limit:
            break
    end = None
    if len(places) <= limit and len(window) == WINDOW:
        end = Cursor(decisions.get(session, window[-1]).created_at, window[-1])
    return _found(session, places, limit, end)


def _by_reference(
    session: Session, filters: Filters, reference: str, after: Cursor | None, limit: int
) -> DecisionsFound:
    """Follow the index of references, which is ordered by the time of upload."""
    order = (SubmissionRow.created_at, SubmissionRow.id)
    query = select(*order).where(SubmissionRow.reference == reference)
    if after is not None:
        # Starts with the cursor's submission, of which some decisions may be left.
        query = query.where(tuple_(*order) <= _values(order, [after.at, after.submission_id]))
    window = session.execute(query.order_by(*(column.desc() for column in order)).limit(WINDOW)).all()
    places: list[Cursor] = []
    for uploads in chunks(window):
        decided: dict[str, list[int]] = {}
        for one in _matching(session, filters, DecisionRow.submission_id.in_([name for _, name in uploads])):
            decided.setdefault(one.submission_id, []).append(one.id)
        found = [Cursor(at, one, name) for at, name in uploads for one in decided.get(name, ())]
        places += [one for one in found if after is None or _comes_after(one, after)]
        if len(places) > limit:
            break
    end = Cursor(window[-1].created_at, 0, window[-1].id) if len(window) == WINDOW else None
    return _found(session, places, limit, end)


def _comes_after(place: Cursor, after: Cursor) -> bool:
    """Whether a decision comes after a position, given that its submission does not come before it."""
    return place.submission_id != after.submission_id or place.decision_id < after.decision_id


def _matching(session: Session, filters: Filters, which: ColumnElement[bool]) -> list[Any]:
    """Return those of these few decisions that match the filters, the latest first.

    Compared in Python: given conditions besides the ids, a database may read all rows that meet those.
    """
    row = DecisionRow
    query = select(row.id, row.submission_id, row.created_at, row.action, row.policy, row.labels).where(which)
    return [one for one in session.execute(query.order_by(row.id.desc())) if filters.match(one)]


def _found(session: Session, places: list[Cursor], limit: int, end: Cursor | None) -> DecisionsFound:
    """Return the decisions at the first `limit` of these positions; `end` is where the search stopped."""
    shown = places[:limit]
    recorded = decisions.by_ids(session, [place.decision_id for place in shown])
    following = shown[-1] if len(places) > limit else end
    return DecisionsFound([recorded[place.decision_id] for place in shown], following)


def _id_bounds(session: Session, filters: Filters, column: Any) -> Iterable[ColumnElement[bool]]:
    """Yield bounds of ids that follow from the times, so that a search starts and ends near its range."""
    newest = select(DecisionRow.id).order_by(DecisionRow.created_at.desc(), DecisionRow.id.desc()).limit(1)
    if filters.until is not None:
        before = newest.where(DecisionRow.created_at < filters.until + _CLOCKS_DIFFER)
        yield column <= (session.scalar(before) or 0)
    if filters.since is not None:
        before = newest.where(DecisionRow.created_at < filters.since - _CLOCKS_DIFFER)
        yield column > (session.scalar(before) or 0)


def _tuple(order: Sequence[Any], values: Sequence[object]) -> Any:
    """Return the first columns of `order`, one for each value, as a tuple to compare with the values."""
    return tuple_(*order[: len(values)])


def _values(order: Sequence[Any], values: Sequence[object]) -> Any:
    return tuple_(*(literal(value, column.type) for column, value in zip(order, values, strict=False)))
