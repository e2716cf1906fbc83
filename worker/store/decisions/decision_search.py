"""Lists decisions by filters, newest first: each page reads a bounded number of rows of one index.

Without a label or a reference an index answers every combination of filters. With one of them the index lists
the decisions with that label, or the submissions with that reference; what the other filters leave of them is
found by looking at no more than `WINDOW` at a time.
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

#: Rows of an index that one search looks at before it answers with what it has found.
WINDOW: Final = 5_000
#: Ids follow the times of decisions this closely, whatever the clocks of workers say.
_CLOCKS_DIFFER: Final = timedelta(hours=1)
#: What databases tell times apart by.
_TICK: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Filters:
    """Which decisions are meant; None leaves a field open."""

    action: Action | None = None
    #: A label that was flagged.
    label: str | None = None
    policy: str | None = None
    #: The time of the decision: at or after the first, before the second; aware of their zones.
    since: datetime | None = None
    until: datetime | None = None
    reference: str | None = None

    def match(self, decision: Any) -> bool:
        """Whether a decision is meant, whatever its reference."""
        return (
            self.action in {None, decision.action}
            and self.policy in {None, decision.policy}
            and (self.label is None or self.label in decision.labels)
            and (self.since is None or decision.created_at >= self.since)
            and (self.until is None or decision.created_at < self.until)
        )


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in a list: where the next page begins."""

    #: Of the decision; with a reference of the submission.
    at: datetime
    #: 0 before every decision of the submission.
    decision_id: int
    #: Only with a reference.
    submission_id: str | None = None


@dataclass(frozen=True, slots=True)
class DecisionsFound:
    """A page of decisions."""

    #: Fewer than asked for, even none, if few of those looked at pass the filters.
    decisions: list[RecordedDecision]
    #: Where to go on; None at the end.
    next: Cursor | None


def search(session: Session, filters: Filters, *, after: Cursor | None = None, limit: int) -> DecisionsFound:
    """Return at most `limit` decisions behind `after`, the newest first; by reference the newest uploads."""
    if filters.reference is not None:
        return _by_reference(session, filters, filters.reference, after, limit)
    if filters.label is not None:
        return _by_label(session, filters, filters.label, after, limit)
    return _by_time(session, filters, after, limit)


def latest(
    session: Session, *, action: Action | None = None, label: str | None = None, limit: int
) -> list[RecordedDecision]:
    """Return the newest `limit` decisions of an action, with a label flagged, or of all; however far back."""
    filters = Filters(action=action, label=label)
    page = search(session, filters, limit=limit)
    found = page.decisions
    while page.next is not None and len(found) < limit:
        page = search(session, filters, after=page.next, limit=limit - len(found))
        found += page.decisions
    return found


def _by_time(session: Session, filters: Filters, after: Cursor | None, limit: int) -> DecisionsFound:
    """Read one stretch of the index that begins with what is asked for and goes on with the time.

    As bounds and not as equations, for which PostgreSQL would leave out the order by them and then follow the
    index of times alone, past all that does not match.
    """
    asked = {DecisionRow.policy: filters.policy, DecisionRow.action: filters.action}
    known = {column: value for column, value in asked.items() if value is not None}
    order = (*known, DecisionRow.created_at, DecisionRow.id)
    lower = [*known.values(), *([filters.since] if filters.since else [])]
    uppers = [[*known.values(), *([filters.until - _TICK] if filters.until else [])]]
    if after is not None:
        uppers.append([*known.values(), after.at, after.decision_id - 1])
    query = select(DecisionRow.id, DecisionRow.created_at)
    if lower:
        query = query.where(_tuple(order, lower) >= _values(order, lower))
    # Never "less than": of that PostgreSQL expects nothing under a policy, and then reads the whole table.
    query = query.where(*(_tuple(order, upper) <= _values(order, upper) for upper in uppers if upper))
    rows = session.execute(query.order_by(*(column.desc() for column in order)).limit(limit + 1))
    return _found(session, [Cursor(at, decision_id) for decision_id, at in rows], limit, end=None)


def _by_label(
    session: Session, filters: Filters, label: str, after: Cursor | None, limit: int
) -> DecisionsFound:
    """Follow the index of flagged labels, which has ids; decisions are numbered as they are made."""
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
    """Follow the index of references, which has the times of uploads."""
    order = (SubmissionRow.created_at, SubmissionRow.id)
    query = select(*order).where(SubmissionRow.reference == reference)
    if after is not None:
        # From the submission itself on, of which some decisions may be left.
        query = query.where(tuple_(*order) <= _values(order, [after.at, after.submission_id]))
    window = session.execute(query.order_by(*(column.desc() for column in order)).limit(WINDOW)).all()
    places: list[Cursor] = []
    for uploads in chunks(window):
        decided: dict[str, list[int]] = {}
        for one in _matching(session, filters, DecisionRow.submission_id.in_([name for _, name in uploads])):
            decided.setdefault(one.submission_id, []).append(one.id)
        found = [Cursor(at, one, name) for at, name in uploads for one in decided.get(name, ())]
        places += [one for one in found if after is None or _is_behind(one, after)]
        if len(places) > limit:
            break
    end = Cursor(window[-1].created_at, 0, window[-1].id) if len(window) == WINDOW else None
    return _found(session, places, limit, end)


def _is_behind(place: Cursor, after: Cursor) -> bool:
    """Whether a decision comes after a place, given that its submission does not come before."""
    return place.submission_id != after.submission_id or place.decision_id < after.decision_id


def _matching(session: Session, filters: Filters, which: ColumnElement[bool]) -> list[Any]:
    """Return the decisions that are meant among these few, the latest first.

    Compared here: with conditions beside the ids a database may read all that match them in place of these.
    """
    row = DecisionRow
    query = select(row.id, row.submission_id, row.created_at, row.action, row.policy, row.labels).where(which)
    return [one for one in session.execute(query.order_by(row.id.desc())) if filters.match(one)]


def _found(session: Session, places: list[Cursor], limit: int, end: Cursor | None) -> DecisionsFound:
    """Return the decisions at the first `limit` of these places; `end` is where the search stopped."""
    shown = places[:limit]
    recorded = decisions.by_ids(session, [place.decision_id for place in shown])
    following = shown[-1] if len(places) > limit else end
    return DecisionsFound([recorded[place.decision_id] for place in shown], following)


def _id_bounds(session: Session, filters: Filters, column: Any) -> Iterable[ColumnElement[bool]]:
    """Yield the bounds of ids that times set, so that a search neither begins nor ends far outside."""
    newest = select(DecisionRow.id).order_by(DecisionRow.created_at.desc(), DecisionRow.id.desc()).limit(1)
    if filters.until is not None:
        before = newest.where(DecisionRow.created_at < filters.until + _CLOCKS_DIFFER)
        yield column <= (session.scalar(before) or 0)
    if filters.since is not None:
        before = newest.where(DecisionRow.created_at < filters.since - _CLOCKS_DIFFER)
        yield column > (session.scalar(before) or 0)


def _tuple(order: Sequence[Any], values: Sequence[object]) -> Any:
    """Return as many of the columns as there are values, to be compared with them in one go."""
    return tuple_(*order[: len(values)])


def _values(order: Sequence[Any], values: Sequence[object]) -> Any:
    return tuple_(*(literal(value, column.type) for column, value in zip(order, values, strict=False)))
