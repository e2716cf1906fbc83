"""Deliveries of the outbox's events: leased, then delivered, tried again, given up or replayed."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, exists, func, select, tuple_, update
from sqlalchemy.orm import Session

from worker.store.engine.clock import database_now
from worker.store.engine.tables import OutboxRow
from worker.store.notifications.outbox import EventState, OutboxEvent, event_of

#: Longer errors of failed attempts are cut off.
MAX_ERROR_CHARACTERS: Final = 500
#: How far `take` searches past events that it skips: pages of this number of rows, at most `MAX_PAGES`.
PAGE: Final = 100
MAX_PAGES: Final = 10


def is_due(session: Session) -> bool:
    """Whether any event is due; cheap, and blocks no writer."""
    return bool(session.scalar(select(exists().where(*_due(database_now(session))))))


def take(  # noqa: PLR0913 - an argument for each limit, all by name
    session: Session,
    *,
    limit: int,
    in_flight: Mapping[str, int],
    at_once: int,
    lease: timedelta,
    permits: Callable[[Mapping[str, Any]], bool] = lambda _: True,
) -> list[OutboxEvent]:
    """Lease at most `limit` due events, the longest overdue first, and count an attempt for each.

    No receiver gets more than `at_once` events, including those `in_flight`, counted by receiver. Events
    whose callback `permits` rejects are left to other processes. No other process gets an event before its
    lease expires; commit before you send.
    """
    taken: list[OutboxRow] = []
    busy = Counter(in_flight)
    now, last = database_now(session), None
    for _ in range(MAX_PAGES):
        room = limit - len(taken)
        full = [receiver for receiver, count in busy.items() if count >= at_once]
        # The first query reads only the rows there is room for; later ones, after skips, read whole pages.
        rows = _lock_due(session, now, full, room if last is None else PAGE, last)
        for row in rows:
            if len(taken) < limit and busy[row.receiver] < at_once and permits(row.callback):
                busy[row.receiver] += 1
                taken.append(row)
        if len(taken) == limit or not rows:
            break
        last = rows[-1].next_attempt_at, rows[-1].id
    for row in taken:
        row.attempts += 1
        row.next_attempt_at = now + lease
    return [event_of(row) for row in taken]


def overdue(session: Session, *, by: timedelta, limit: int) -> list[OutboxEvent]:
    """Return and lock at most `limit` events that have been due for longer than `by`, the oldest first."""
    rows = _lock_due(session, database_now(session) - by, (), limit)
    return [event_of(row) for row in rows]


def delivered(session: Session, event: OutboxEvent) -> None:
    """Mark an event as delivered, even if another process attempts it too."""
    _settle(session, event, EventState.DELIVERED, error=None)


def try_again(session: Session, event: OutboxEvent, error: str, at: datetime) -> None:
    """Record why an attempt failed and when the next is due, unless another attempt has begun already."""
    _change(
        session,
        event,
        OutboxRow.attempts == event.attempts,
        error=error[:MAX_ERROR_CHARACTERS],
        next_attempt_at=at,
    )


def give_up(session: Session, event: OutboxEvent, error: str) -> None:
    """Give up an event, and record why, unless another attempt has begun already."""
    _settle(
        session,
        event,
        EventState.GIVEN_UP,
        OutboxRow.attempts == event.attempts,
        error=error[:MAX_ERROR_CHARACTERS],
    )


def replay(session: Session, event_id: str) -> bool:
    """Requeue an event with a fresh retry schedule; return False if there is no such event."""
    return bool(_requeue(session, OutboxRow.event_id == event_id))


def replay_given_up(session: Session) -> int:
    """Requeue all events that were given up, with a fresh retry schedule; return how many."""
    return _requeue(session, OutboxRow.state == EventState.GIVEN_UP.value)


def _due(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return OutboxRow.state == EventState.PENDING.value, OutboxRow.next_attempt_at <= now


def _lock_due(
    session: Session,
    now: datetime,
    full: Sequence[str],
    limit: int,
    after: tuple[datetime | None, int] | None = None,
) -> Sequence[OutboxRow]:
    """Lock at most `limit` due events after `after`, of receivers that are not full."""
    order = (OutboxRow.next_attempt_at, OutboxRow.id)
    query = select(OutboxRow).where(*_due(now)).order_by(*order).limit(limit)
    query = query.with_for_update(skip_locked=True)
    if after is not None:
        query = query.where(tuple_(*order) > after)
    if not full:
        return session.scalars(query).all()
    # One query for each receiver: otherwise all events for a receiver that hangs are skipped row by row.
    found = [
        row
        for receiver in _receivers_due(session, now, full, limit)
        for row in session.scalars(query.where(OutboxRow.receiver == receiver))
    ]
    return sorted(found, key=lambda row: (row.next_attempt_at, row.id))[:limit]


def _receivers_due(session: Session, now: datetime, full: Sequence[str], limit: int) -> list[str]:
    """Return at most `limit` receivers with due events that are not full; one index lookup for each."""
    name, pending = OutboxRow.receiver, OutboxRow.state == EventState.PENDING.value
    first = select(select(func.min(name)).where(pending).scalar_subquery().label("receiver"))
    found = first.cte(recursive=True)
    following = select(func.min(name)).where(pending, name > found.c.receiver).scalar_subquery()
    every = found.union_all(select(following).where(found.c.receiver.is_not(None)))
    is_due = exists().where(*_due(now), name == every.c.receiver)
    query = select(every.c.receiver).where(is_due, every.c.receiver.not_in(full))
    return list(session.scalars(query.limit(limit)))


def _settle(
    session: Session,
    event: OutboxEvent,
    state: EventState,
    *conditions: ColumnElement[bool],
    error: str | None,
) -> None:
    settled = {"state": state.value, "settled_at": database_now(session), "next_attempt_at": None}
    _change(session, event, *conditions, error=error, **settled)


def _change(session: Session, event: OutboxEvent, *conditions: ColumnElement[bool], **values: object) -> None:
    session.execute(
        update(OutboxRow)
        .where(OutboxRow.id == event.id, OutboxRow.state == EventState.PENDING.value, *conditions)
        .values(**values)
        .execution_options(synchronize_session=False)
    )


def _requeue(session: Session, which: ColumnElement[bool]) -> int:
    now = database_now(session)
    found = session.execute(
        update(OutboxRow)
        .where(which)
        .values(
            state=EventState.PENDING.value,
            attempts=0,
            error=None,
            next_attempt_at=now,
            started_at=now,
            settled_at=None,
        )
        .returning(OutboxRow.id)
        .execution_options(synchronize_session=False)
    )
    return len(found.all())
