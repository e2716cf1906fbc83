"""The outbox: events for the platform, written in the transaction of the change and delivered later."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from moderation_client.callback import receiver_of
from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from worker.domain.moderation.in_force import DecidedBy, InForce
from worker.domain.operations.event_type import EventType
from worker.store.engine.clock import database_now
from worker.store.engine.counting import MOST, count_up_to
from worker.store.engine.deleting import delete_some, is_any
from worker.store.engine.tables import DELIVERED, OutboxRow

DECISION_MADE: Final = EventType.DECISION_MADE.value
SUBMISSION_REFUSED: Final = EventType.SUBMISSION_REFUSED.value


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
    return [event_of(row) for row in session.scalars(query)]


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


def event_of(row: OutboxRow) -> OutboxEvent:
    """Return the event of a row."""
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
