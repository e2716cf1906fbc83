"""The outbox: events for the platform, written in the transaction of the change and delivered later."""

import secrets
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from moderation_client.callback import receiver_of
from sqlalchemy import ColumnElement, exists, func, insert, select, tuple_, update
from sqlalchemy.orm import Session

from worker.domain.moderation.in_force import DecidedBy, InForce
from worker.domain.operations.event_type import EventType
from worker.store.engine.clock import database_now
from worker.store.engine.counting import MOST, count_up_to
from worker.store.engine.deleting import delete_some, is_any
from worker.store.engine.tables import DELIVERED, OutboxRow

DECISION_MADE: Final = EventType.DECISION_MADE.value
SUBMISSION_REFUSED: Final = EventType.SUBMISSION_REFUSED.value
#: Longer errors of failed attempts are cut off.
MAX_ERROR_CHARACTERS: Final = 500
#: How far `take` searches past events that it skips: pages of this number of rows, at most `MAX_PAGES`.
PAGE: Final = 100
MAX_PAGES: Final = 10


class EventState(StrEnum):
    """The state of an event's delivery."""

    PENDING = "pending"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True)
class OutboxEvent:
    """An event for the platform, and the state of its delivery."""

    id: int
    #: The platform deduplicates by it: delivery is at least once.
    event_id: str
    #: decision.made, verdict.made ...
    kind: str
    submission_id: str
    #: None if there is no decision: the submission was refused.
    decision_id: int | None
    #: The verdict that was made or reversed; None if the event is about no verdict.
    verdict_id: int | None
    #: Why the submission was refused; None if it was not.
    problem: str | None
    #: The submission's state when the event was written; None if a version before 0011 wrote it.
    in_force: InForce | None
    #: As messages write it, with the complete URL.
    callback: dict[str, Any]
    receiver: str
    state: EventState
    #: The number of delivery attempts, including one in progress.
    attempts: int
    #: Pending: when the next attempt is due, at the latest.
    next_attempt_at: datetime | None
    #: Why the last attempt failed; None if none has.
    error: str | None
    created_at: datetime
    #: The start of the time after which delivery is given up.
    started_at: datetime
    settled_at: datetime | None


@dataclass(frozen=True, slots=True)
class News:
    """A new event about a decision, a refusal or a verdict."""

    kind: str
    submission_id: str
    #: None if the submission was refused.
    decision_id: int | None
    #: Where to deliver it, as messages write it.
    callback: Mapping[str, Any]
    verdict_id: int | None = None
    #: Why the submission was refused.
    problem: str | None = None
    #: The submission's state now; if None, it is read when the event is delivered.
    in_force: InForce | None = None


@dataclass(frozen=True, slots=True)
class Lag:
    """How far delivery lags behind; counts stop at `MOST`."""

    pending: int
    #: The age of the oldest pending event; zero without pending events.
    oldest: timedelta
    given_up: int


def add(session: Session, news: Sequence[News]) -> None:
    """Add events, due for delivery now."""
    if not news:
        return
    now = database_now(session)
    session.connection().execute(insert(OutboxRow), [_row(one, now) for one in news])


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
    return [_event(row) for row in taken]


def overdue(session: Session, *, by: timedelta, limit: int) -> list[OutboxEvent]:
    """Return and lock at most `limit` events that have been due for longer than `by`, the oldest first."""
    rows = _lock_due(session, database_now(session) - by, (), limit)
    return [_event(row) for row in rows]


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


def is_any_old(session: Session, *, older_than: timedelta) -> bool:
    """Whether any event was delivered longer ago than `older_than`."""
    return is_any(session, DELIVERED, OutboxRow.settled_at < database_now(session) - older_than)


def forget_delivered(session: Session, *, older_than: timedelta, limit: int) -> int:
    """Delete at most `limit` events that were delivered longer ago than `older_than`; return how many."""
    old = OutboxRow.settled_at < database_now(session) - older_than
    return delete_some(session, OutboxRow, DELIVERED, old, limit=limit)


def newest(
    session: Session, *, state: EventState | None = None, submission_id: str | None = None, limit: int
) -> list[OutboxEvent]:
    """Return at most `limit` events, newest first."""
    query = select(OutboxRow).order_by(OutboxRow.id.desc()).limit(limit)
    if state is not None:
        query = query.where(OutboxRow.state == state.value)
    if submission_id is not None:
        query = query.where(OutboxRow.submission_id == submission_id)
    return [_event(row) for row in session.scalars(query)]


def count_by_state(session: Session) -> dict[EventState, int]:
    """Return the number of events in each state, without empty states; counts stop at `MOST`."""
    counts = {state: count_up_to(session, MOST, OutboxRow.state == state.value) for state in EventState}
    return {state: count for state, count in counts.items() if count}


def lag(session: Session) -> Lag:
    """Return how far delivery lags behind."""
    pending = OutboxRow.state == EventState.PENDING.value
    # The minimum over the first by id, not the first itself: a replayed event keeps its id but starts anew.
    first = select(OutboxRow.started_at).where(pending).order_by(OutboxRow.id).limit(MOST).subquery()
    count = count_up_to(session, MOST, pending)
    oldest = session.scalar(select(func.min(first.c.started_at)))
    given_up = count_up_to(session, MOST, OutboxRow.state == EventState.GIVEN_UP.value)
    age = database_now(session) - oldest if oldest else timedelta()
    return Lag(count, max(age, timedelta()), given_up)


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


def _row(news: News, now: datetime) -> dict[str, Any]:
    state = news.in_force
    return {
        "kind": news.kind,
        "submission_id": news.submission_id,
        "decision_id": news.decision_id,
        "verdict_id": news.verdict_id,
        "problem": news.problem,
        "callback": news.callback,
        "sequence": state and state.sequence,
        "action": state and state.action,
        "decided_by": state and state.decided_by,
        "event_id": f"evt_{secrets.token_hex(16)}",
        "receiver": receiver_of(news.callback),
        "state": EventState.PENDING.value,
        "next_attempt_at": now,
        "created_at": now,
        "started_at": now,
    }


def _in_force(row: OutboxRow) -> InForce | None:
    if row.sequence is None:
        return None
    return InForce(row.sequence, row.action, DecidedBy(row.decided_by) if row.decided_by else None)


def _event(row: OutboxRow) -> OutboxEvent:
    return OutboxEvent(
        id=row.id,
        event_id=row.event_id,
        kind=row.kind,
        submission_id=row.submission_id,
        decision_id=row.decision_id,
        verdict_id=row.verdict_id,
        problem=row.problem,
        in_force=_in_force(row),
        callback=row.callback,
        receiver=row.receiver,
        state=EventState(row.state),
        attempts=row.attempts,
        next_attempt_at=row.next_attempt_at,
        error=row.error,
        created_at=row.created_at,
        started_at=row.started_at,
        settled_at=row.settled_at,
    )
