"""Delivers the events of the outbox until the receiver accepts each, or its delivery time expires.

Delivery is at least once: if a receiver's answer is lost, it gets the event again under the same id. Events
may arrive out of order; their sequence numbers show which is newer.
"""

import logging
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Event as Signal
from typing import Any, Final

from moderation_client.callback import CeleryCallback, WebhookCallback, callback_of
from moderation_client.traceparent import TRACEPARENT
from moderation_client.url import without_queries
from sqlalchemy.orm import Session

from worker.concurrency.periodic import run_periodically
from worker.errors import (
    CallbackNotAllowedError,
    DatabaseUnavailableError,
    EventPostponedError,
    EventRefusedError,
    InvalidSubmissionError,
    PermanentError,
    UnavailableError,
)
from worker.notifications.allowed_callbacks import AllowedCallbacks
from worker.notifications.celery_callback import CeleryTask
from worker.notifications.events import EventFields, Payload, decision_data, payload, refusal_data
from worker.notifications.webhook import Webhook
from worker.store.decisions import decisions
from worker.store.engine.clock import database_now
from worker.store.engine.database import Database
from worker.store.notifications import deliveries
from worker.store.notifications.outbox import OutboxEvent
from worker.store.reviews import in_force, verdict_events
from worker.store.submissions import submissions

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
#: Events in flight in one process, and for one receiver: a receiver that hangs leaves room for others.
IN_FLIGHT: Final = 16
IN_FLIGHT_PER_RECEIVER: Final = 8
#: Longer than any timeout of a delivery; after it another process delivers the events of one that died.
LEASE: Final = timedelta(seconds=60)
#: Pauses after the first failure, the second, ...; each event waits a random part of its pause, so that a
#: receiver that recovers does not get all events at once.
PAUSES: Final = tuple(timedelta(seconds=seconds) for seconds in (5, 30, 120, 600, 1800, 3600))
#: A process that may deliver an event takes it well within this time; after it, the others postpone it.
OTHERS_TAKE_WITHIN: Final = timedelta(seconds=15)
PAUSE_FOR_OTHERS: Final = timedelta(seconds=60)
#: Neither another process nor a later attempt can succeed.
_FINAL: Final = (EventRefusedError, InvalidSubmissionError)


@dataclass(frozen=True, slots=True)
class DeliverEvents:
    """Deliver events that are due; safe to run in several processes at once."""

    database: Database
    allowed: AllowedCallbacks
    webhook: Webhook
    celery_task: CeleryTask
    #: Counted from when the event was added or replayed.
    give_up_after: timedelta
    #: Returns a random number from 0 to 1.
    chance: Callable[[], float] = random.random

    def __call__(self, is_stopped: Callable[[], bool] = lambda: False) -> int:
        """Deliver until nothing is due, or it `is_stopped`; return how many events were delivered."""
        delivered = 0
        in_flight: dict[Future[bool], str] = {}
        with ThreadPoolExecutor(IN_FLIGHT, "deliver-events") as executor:
            while True:
                if not is_stopped():
                    for event in self._take(Counter(in_flight.values())):
                        in_flight[executor.submit(self._deliver, event)] = event.receiver
                if not in_flight:
                    return delivered
                # A slow delivery must not delay events that become due.
                done, _ = wait(in_flight, LOOK_SECONDS, FIRST_COMPLETED)
                for future in done:
                    del in_flight[future]
                    delivered += future.result()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Deliver events periodically while the context lasts; log failures."""
        stop = Signal()
        with run_periodically(lambda: self(stop.is_set), LOOK_SECONDS, name="delivering events"):
            try:
                yield
            finally:
                stop.set()

    def _take(self, in_flight: Mapping[str, int]) -> list[OutboxEvent]:
        room = IN_FLIGHT - sum(in_flight.values())
        with self.database.reading() as session:
            if not room or not deliveries.is_due(session):
                return []
        with self.database.transaction() as session:
            taken = deliveries.take(
                session,
                limit=room,
                in_flight=in_flight,
                at_once=IN_FLIGHT_PER_RECEIVER,
                lease=LEASE,
                permits=self._permits,
            )
            if len(taken) < room:
                self._leave_to_others(session)
            return taken

    def _permits(self, record: Mapping[str, Any]) -> bool:
        """Whether the settings of this process allow a callback; an unreadable one fails on delivery."""
        try:
            self.allowed.check(callback_of(record))
        except CallbackNotAllowedError:
            return False
        except InvalidSubmissionError:
            return True
        return True

    def _leave_to_others(self, session: Session) -> None:
        """Postpone events that this process may not deliver and no other process has taken.

        Their delivery time runs on: the first process that sees it expired gives them up.
        """
        now, left = database_now(session), Counter[str]()
        for event in deliveries.overdue(session, by=OTHERS_TAKE_WITHIN, limit=deliveries.PAGE):
            try:
                self.allowed.check(callback_of(event.callback))
            except CallbackNotAllowedError as error:
                if self._has_expired(now, event):
                    deliveries.give_up(session, event, error.message)
                else:
                    at = min(now + PAUSE_FOR_OTHERS, event.started_at + self.give_up_after)
                    deliveries.try_again(session, event, error.message, at)
                    left[error.message] += 1
            except InvalidSubmissionError:
                continue
        for problem, count in left.items():
            log.warning("%d events are left for a process that may deliver them: %s", count, problem)

    def _deliver(self, event: OutboxEvent) -> bool:
        """Deliver one event and record the result; return whether it was delivered."""
        try:
            error = self._attempt(event)
            with self.database.transaction() as session:
                now = database_now(session)
                if error is None:
                    deliveries.delivered(session, event)
                elif isinstance(error, _FINAL) or self._has_expired(now, event):
                    deliveries.give_up(session, event, str(error))
                else:
                    deliveries.try_again(session, event, str(error), self._next_attempt_at(now, event, error))
        except DatabaseUnavailableError as outage:
            log.warning(
                "the result of event %s could not be recorded, so it is sent again: %s",
                event.event_id,
                outage.message,
            )
            return False
        return error is None

    def _attempt(self, event: OutboxEvent) -> Exception | None:
        """Send one event; return the error if that failed, without secrets of URLs."""
        about = f"event {event.event_id} of submission {event.submission_id}"
        try:
            self._send(event)
        except DatabaseUnavailableError:
            raise
        except (PermanentError, UnavailableError) as error:
            log.warning("%s, attempt %d: %s", about, event.attempts, error.message)
            return error
        except Exception as error:
            log.exception("%s, attempt %d failed", about, event.attempts)
            return UnavailableError(without_queries(repr(error)))
        log.info("%s delivered, attempt %d", about, event.attempts)
        return None

    def _send(self, event: OutboxEvent) -> None:
        match callback := callback_of(event.callback):
            case WebhookCallback():
                self.webhook(self._payload(event), callback)
            case CeleryCallback():
                self.celery_task(self._payload(event), callback)
            case None:
                raise InvalidSubmissionError("there is no callback")

    def _payload(self, event: OutboxEvent) -> Payload:
        with self.database.reading() as session:
            state = event.in_force or in_force.of(session, event.submission_id)
            data = _data(session, event)
            traceparent = submissions.traceparent(session, event.submission_id)
        made = payload(
            EventFields(event.event_id, event.kind, event.created_at, event.submission_id, state), data
        )
        return made | ({TRACEPARENT: traceparent} if traceparent else {})

    def _has_expired(self, now: datetime, event: OutboxEvent) -> bool:
        return now >= event.started_at + self.give_up_after

    def _next_attempt_at(self, now: datetime, event: OutboxEvent, error: Exception) -> datetime:
        """Return the time of the next attempt; the last one is made when the delivery time expires."""
        pause = PAUSES[min(event.attempts, len(PAUSES)) - 1] * self.chance()
        if isinstance(error, EventPostponedError):
            pause = error.retry_after
        return min(now + pause, event.started_at + self.give_up_after)


def _data(session: Session, event: OutboxEvent) -> dict[str, Any]:
    if event.decision_id is None:
        refused = submissions.find(session, event.submission_id)
        if refused is None:
            raise ValueError(f"there is no submission {event.submission_id}")
        return refusal_data(refused, event.problem or refused.error or "")
    decision = decisions.get(session, event.decision_id)
    if event.verdict_id is None:
        return decision_data(decision)
    return decision_data(decision, verdict_events.fields_of(session, event.kind, event.verdict_id))
