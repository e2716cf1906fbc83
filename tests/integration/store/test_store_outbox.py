"""Events are given out once, the attempt counted before anything is sent, and no receiver gets all the hands."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import update
from support.store_records import record, submission

from worker.store.engine.column_types import utc_now
from worker.store.engine.tables import OutboxRow
from worker.store.notifications import deliveries, outbox
from worker.store.notifications.outbox import EventState
from worker.usecases.operations import tidy_up

URL = "https://platform.example/moderated?token=5ec7e7"
TASK = {"task": "posts.moderated", "queue": "posts"}
LEASE = timedelta(seconds=60)


@pytest.fixture
def add(database):
    decision_id = record(database, submission())

    def add_events(count=1, callback=None):
        with database.transaction() as session:
            for _ in range(count):
                outbox.add(
                    session,
                    [
                        outbox.News(
                            outbox.DECISION_MADE,
                            submission_id="upload-1",
                            decision_id=decision_id,
                            callback=callback or {"url": URL},
                        )
                    ],
                )

    return add_events


def take(database, limit=10, at_once=10, **in_flight):
    with database.transaction() as session:
        return deliveries.take(session, limit=limit, in_flight=in_flight, at_once=at_once, lease=LEASE)


def shift(database, **values):
    with database.transaction() as session:
        session.execute(update(OutboxRow).values(**values))


def newest(database, **filters):
    with database.reading() as session:
        return outbox.newest(session, limit=100, **filters)


def do(database, work, *arguments):
    with database.transaction() as session:
        return work(session, *arguments)


def test_what_is_taken_is_counted_and_nobody_elses_until_its_lease_is_over(database, add):
    add()
    (event,) = take(database)
    assert (event.kind, event.submission_id, event.callback) == ("decision.made", "upload-1", {"url": URL})
    assert (event.attempts, event.state, event.receiver) == (1, "pending", "platform.example")
    assert take(database) == []
    (stored,) = newest(database)
    assert (stored.attempts, stored.next_attempt_at > utc_now()) == (1, True)
    shift(database, next_attempt_at=utc_now() - timedelta(seconds=1))
    assert do(database, deliveries.is_due)
    assert [one.attempts for one in take(database)] == [2]
    assert not do(database, deliveries.is_due)


def test_parallel_deliverers_share_the_events_and_none_is_given_out_twice(database, add):
    add(60)

    def work(_):
        taken = []
        while found := take(database, limit=7, at_once=100):
            taken += found
        return taken

    with ThreadPoolExecutor(8) as crew:
        taken = [event for found in crew.map(work, range(8)) for event in found]
    assert len(taken) == 60
    assert {event.id for event in taken} == {event.id for event in newest(database)}
    assert {event.attempts for event in newest(database)} == {1}


def test_no_receiver_gets_all_the_hands(database, add):
    add(20)
    add(3, {"url": "https://other.example/"})
    add(2, TASK)
    taken = take(database, limit=16, at_once=8)
    assert Counter(one.receiver for one in taken) == {"platform.example": 8, "other.example": 3, "celery": 2}
    assert take(database, at_once=8, **{"platform.example": 8}) == []
    assert len(take(database, at_once=8, **{"platform.example": 5})) == 3
    assert take(database, limit=0) == []


def test_what_waits_longest_is_first(database, add):
    add(5)
    ids = [event.id for event in reversed(newest(database))]
    assert [take(database, limit=1)[0].id for _ in range(5)] == ids


def test_an_event_ends_delivered_or_given_up_and_can_be_told_again(database, add):
    add(3)
    kept, lost, later = take(database)
    do(database, deliveries.delivered, kept)
    do(database, deliveries.give_up, lost, "x" * 1000)
    at = utc_now() + timedelta(seconds=5)
    do(database, deliveries.try_again, later, "platform.example answered 500", at)
    states = {event.id: event for event in newest(database)}
    assert (states[kept.id].state, states[kept.id].next_attempt_at) == (EventState.DELIVERED, None)
    assert (states[lost.id].state, len(states[lost.id].error)) == (EventState.GIVEN_UP, 500)
    assert states[lost.id].settled_at is not None
    assert (states[later.id].state, states[later.id].error[-3:]) == (EventState.PENDING, "500")
    assert states[later.id].next_attempt_at == at
    assert do(database, outbox.count_by_state) == {"delivered": 1, "given_up": 1, "pending": 1}

    assert do(database, deliveries.replay_given_up) == 1
    assert do(database, deliveries.replay_given_up) == 0
    (again,) = take(database)
    assert (again.id, again.attempts, again.error, again.settled_at) == (lost.id, 1, None, None)
    assert again.started_at > lost.started_at
    assert again.created_at == lost.created_at
    assert do(database, deliveries.replay, kept.event_id)
    assert not do(database, deliveries.replay, "evt_none")
    assert [event.id for event in take(database)] == [kept.id]


def test_whoever_is_late_does_not_undo_what_another_did(database, add):
    add()
    (first,) = take(database)
    shift(database, next_attempt_at=utc_now() - timedelta(seconds=1))
    (second,) = take(database)
    do(database, deliveries.give_up, first, "timed out")
    do(database, deliveries.try_again, first, "timed out", utc_now())
    (event,) = newest(database)
    assert (event.state, event.error, event.attempts) == ("pending", None, 2)
    do(database, deliveries.delivered, first)
    do(database, deliveries.give_up, second, "timed out")
    (event,) = newest(database)
    assert (event.state, event.error) == ("delivered", None)


def test_the_lag_is_the_age_of_the_oldest_that_waits(database, add):
    lag = do(database, outbox.lag)
    assert (lag.pending, lag.oldest, lag.given_up) == (0, timedelta(), 0)
    add(2)
    (one,) = take(database, limit=1)
    shift(database, started_at=utc_now() - timedelta(hours=3))
    lag = do(database, outbox.lag)
    assert (lag.pending, lag.oldest >= timedelta(hours=3), lag.given_up) == (2, True, 0)
    do(database, deliveries.give_up, one, "no")
    assert do(database, outbox.lag).given_up == 1


def test_filters(database, add):
    add(2)
    assert len(newest(database, state=EventState.PENDING)) == 2
    assert newest(database, state=EventState.DELIVERED) == []
    assert len(newest(database, submission_id="upload-1")) == 2
    assert newest(database, submission_id="upload-2") == []
    ids = [event.id for event in newest(database)]
    assert ids == sorted(ids, reverse=True)


def test_a_callback_that_is_none_does_not_stop_the_decision(database, add):
    add(callback={"pigeon": "coo"})
    (event,) = take(database)
    assert event.receiver == "nobody"


def test_what_was_told_long_ago_is_forgotten_and_nothing_else_is(database, add, monkeypatch):
    monkeypatch.setattr(tidy_up, "CHUNK", 2)
    add(5)
    for event in take(database):
        do(database, deliveries.delivered, event)
    shift(database, settled_at=utc_now() - timedelta(days=31))
    add(3)
    told, given_up, pending = take(database)
    do(database, deliveries.delivered, told)
    do(database, deliveries.give_up, given_up, "nobody there")
    tidy_up.TidyUp(database, timedelta(days=30))()
    assert {event.id for event in newest(database)} == {told.id, given_up.id, pending.id}
