"""Events reach receivers that fail, hang, hang up and lead astray: at least once, by one id, and given up in words."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial

import pytest
from moderation_client.callback import WebhookCallback
from moderation_client.submission import LocalFile, Submission
from moderation_client.webhooks import new_secret, verify
from sqlalchemy import text, update
from support.decided import add_events, decide
from support.deployment import wait_for
from support.receiver import DRIP, DROP, FLOOD, HANG, HOST, SECRET, deliverer, receiving

from worker.errors import RemoteUnavailableError, UnknownPolicyError
from worker.observability.logs import hide_queries
from worker.store.decisions import decisions
from worker.store.engine.column_types import utc_now
from worker.store.engine.tables import OutboxRow, SubmissionRow
from worker.store.notifications import deliveries, outbox
from worker.store.submissions import accepting
from worker.usecases.operations.deliver_events import IN_FLIGHT_PER_RECEIVER, PAUSES, DeliverEvents
from worker.usecases.submissions.refuse_submission import RefuseSubmission
from worker.web.api.views import decision_view


@pytest.fixture
def add(database):
    return partial(add_events, database, decide(database))


@pytest.fixture
def deliver(database):
    """Return what makes a deliverer that may talk to these receivers."""
    return partial(deliverer, database)


def events(database):
    with database.reading() as session:
        return outbox.newest(session, limit=1000)


def the_event(database):
    (event,) = events(database)
    return event


def make_due(database, seconds_ago=1, **values):
    with database.transaction() as session:
        past = utc_now() - timedelta(seconds=seconds_ago)
        session.execute(
            update(OutboxRow).where(OutboxRow.state == "pending").values(next_attempt_at=past, **values)
        )


def test_a_decision_is_told_signed_and_as_the_api_shows_it(database, add, deliver):
    with receiving(204) as receiver:
        add(receiver.url)
        assert deliver(receiver)() == 1
        assert deliver(receiver)() == 0
    (body,), (headers,), (event,) = receiver.bodies, receiver.headers, receiver.events
    stored = the_event(database)
    assert receiver.paths == ["/moderated?token=5ec7e7"]
    assert verify(SECRET, headers, body, now=int(headers["webhook-timestamp"]))
    assert headers["webhook-id"] == headers["idempotency-key"] == event["id"] == stored.event_id
    assert headers["content-type"] == "application/json"
    with database.reading() as session:
        shown = decision_view(decisions.get(session, stored.decision_id)).model_dump(mode="json")
    assert event["data"] == {
        "submission": "upload-1",
        "reference": "post-42",
        "context": None,
        "decision": shown,
    }
    assert (event["type"], event["timestamp"][-1]) == ("decision.made", "Z")
    # The version before 0011 wrote no state: it is read now.
    state = event["submission"], event["action"], event["decided_by"], event["sequence"]
    assert state == ("upload-1", "review", "policy", 0)
    assert (stored.state, stored.attempts, stored.error) == ("delivered", 1, None)


def test_a_refusal_is_told_with_the_submission_and_the_reason(database, deliver):
    with receiving(204) as receiver:
        what = Submission(
            "upload-1",
            LocalFile("a.jpg"),
            policy="uploads",
            reference="post-42",
            context={"a": 1},
            callback=WebhookCallback(receiver.url),
        )
        source = {"kind": "file", "path": "a.jpg"}
        with database.transaction() as session:
            accepting.accept(session, what, source, source)
        RefuseSubmission(database)(what.id, UnknownPolicyError("there is no policy uploads"), what)
        assert deliver(receiver)() == 1
    (event,) = receiver.events
    assert event["type"] == "submission.refused"
    assert (event["submission"], event["action"], event["sequence"]) == ("upload-1", None, 1)
    assert event["data"] == {
        "submission": {
            "id": "upload-1",
            "reference": "post-42",
            "context": {"a": 1},
            "policy": "uploads",
        },
        "problem": "there is no policy uploads",
    }
    assert the_event(database).state == "delivered"


def test_an_event_names_the_trace_of_its_submission(database, add, deliver):
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    with receiving(204, 204) as receiver:
        add(receiver.url)
        deliver(receiver)()
        with database.transaction() as session:
            session.execute(update(SubmissionRow).values(traceparent=trace))
        add(receiver.url)
        deliver(receiver)()
    (without, headers_without), (traced, headers) = zip(receiver.events, receiver.headers, strict=True)
    assert ("traceparent" in without, "traceparent" in headers_without) == (False, False)
    assert (traced["traceparent"], headers["traceparent"]) == (trace, trace)


def test_what_fails_is_tried_again_later_and_later(database, add, deliver):
    with receiving(500, 503, 200) as receiver:
        add(receiver.url)
        for attempt, status in enumerate((500, 503), 1):
            before = utc_now()
            assert deliver(receiver)() == 0
            event = the_event(database)
            assert (event.state, event.attempts) == ("pending", attempt)
            assert event.error == f"{HOST} answered {status}"
            assert event.next_attempt_at >= before + PAUSES[attempt - 1]
            assert deliver(receiver)() == 0
            make_due(database)
        assert deliver(receiver)() == 1
    assert len(set(receiver.ids)) == 1
    assert len(receiver.ids) == 3
    assert (the_event(database).state, the_event(database).error) == ("delivered", None)


def test_the_pauses_end_at_an_hour_and_chance_shortens_them(database, add, deliver):
    with receiving(500) as receiver:
        add(receiver.url)
        make_due(database, attempts=40)
        teller = deliver(receiver)
        teller()
        assert timedelta(minutes=59) < the_event(database).next_attempt_at - utc_now() <= PAUSES[-1]
        event, now = the_event(database), utc_now()
    hasty = DeliverEvents(
        database, teller.allowed, teller.webhook, teller.celery_task, timedelta(1), lambda: 0.0
    )
    assert hasty._next_attempt_at(now, event, RemoteUnavailableError("away")) == now


def test_it_is_given_up_when_its_time_is_over_and_not_before(database, add, deliver):
    with receiving(500) as receiver:
        add(receiver.url)
        make_due(database, attempts=30, started_at=utc_now() - timedelta(hours=23, minutes=50))
        deliver(receiver)()
        event = the_event(database)
        assert event.state == "pending"
        assert event.next_attempt_at == event.started_at + timedelta(hours=24)
        make_due(database, started_at=utc_now() - timedelta(hours=24))
        deliver(receiver)()
        assert (the_event(database).state, the_event(database).attempts) == ("given_up", 32)
        with database.transaction() as session:
            deliveries.replay_given_up(session)
        deliver(receiver)()
        assert (the_event(database).state, the_event(database).attempts) == ("pending", 1)
    assert len(receiver.ids) == 3


def test_who_drops_the_connection_after_accepting_hears_it_twice_by_one_id(database, add, deliver):
    with receiving(DROP, 200) as receiver:
        add(receiver.url)
        assert deliver(receiver)() == 0
        assert f"{HOST} does not answer" in the_event(database).error
        make_due(database)
        assert deliver(receiver)() == 1
    assert len(receiver.ids) == 2
    assert len(set(receiver.ids)) == 1
    assert receiver.bodies[0] == receiver.bodies[1]


def test_who_hangs_keeps_no_other_waiting(database, add, deliver):
    with receiving(HANG) as stuck, receiving(200) as good:
        add(*[stuck.url.replace(HOST, "stuck.example")] * 20, *[good.url] * 20)
        teller = deliver(stuck, good)
        thread = threading.Thread(target=teller, args=(lambda: len(good.ids) == 20,))
        thread.start()
        wait_for(lambda: len(good.ids) == 20, what="the good receiver's events")
        assert len(stuck.ids) == IN_FLIGHT_PER_RECEIVER
        assert {event.state for event in events(database) if event.receiver.startswith("stuck")} == {
            "pending"
        }
    thread.join(60)


def test_who_hangs_is_left_at_the_deadline(database, add, deliver):
    with receiving(HANG) as receiver:
        add(receiver.url)
        assert deliver(receiver, seconds=0.2)() == 0
    assert the_event(database).error == f"{HOST} did not answer within 0.2 s"


def test_an_answer_without_an_end_is_an_answer(add, deliver):
    with receiving(FLOOD) as receiver:
        add(receiver.url)
        assert deliver(receiver)() == 1


def test_a_redirect_is_not_followed(database, add, deliver):
    with receiving(307) as receiver:
        add(receiver.url)
        deliver(receiver)()
    assert receiver.paths == ["/moderated?token=5ec7e7"]
    assert the_event(database).error == f"{HOST} answered 307, a redirect, which is not followed"
    assert the_event(database).state == "pending"


def test_what_can_never_be_told_is_given_up_at_once_and_stops_no_other(database, add, deliver):
    with receiving(410) as gone, receiving(200) as good:
        add(gone.url, {"pigeon": "coo"}, good.url)
        assert deliver(gone, good, hosts=f"{HOST}")() == 1
        reasons = [event.error for event in reversed(events(database)) if event.state == "given_up"]
        assert "answered 410: it does not want this event" in reasons[0]
        assert "field 'callback' must be" in reasons[1]
        assert len(good.ids) == 1


FORBIDDEN = [
    ("http://10.0.0.1:6379/", "the host 10.0.0.1 is not allowed"),
    ("http://169.254.169.254/latest", "the host 169.254.169.254 is not allowed"),
    ("http://evil.example.net/", "the host evil.example.net is not allowed"),
    ({"task": "files.moderated", "queue": "files"}, "the task files.moderated is not allowed"),
    ({"task": "posts.moderated", "queue": "moderation"}, "the workers' own"),
    ({"task": "posts.moderated", "queue": "unacked_mutex"}, "unacked_mutex is a key that Celery itself uses"),
]


def test_what_this_process_may_not_deliver_is_left_to_another_and_given_up_on_schedule(
    database, add, deliver
):
    with receiving(200) as good:
        add(*[callback for callback, _ in FORBIDDEN], good.url)
        teller = deliver(good, hosts=HOST)
        assert teller() == 1
        left = list(reversed(events(database)))[:-1]
        # Another process had no time to take them yet.
        assert {(event.state, event.attempts, event.error) for event in left} == {("pending", 0, None)}
        make_due(database, seconds_ago=20)
        before = utc_now()
        assert teller() == 0
        left = list(reversed(events(database)))[:-1]
        for event, (_, words) in zip(left, FORBIDDEN, strict=True):
            assert (event.state, event.attempts) == ("pending", 0)
            assert event.next_attempt_at >= before + timedelta(seconds=59)
            assert words in event.error
        assert teller() == 0
        make_due(database, seconds_ago=20, started_at=utc_now() - timedelta(hours=24))
        assert teller() == 0
        left = list(reversed(events(database)))[:-1]
        assert {(event.state, event.attempts) for event in left} == {("given_up", 0)}
        assert [words in event.error for event, (_, words) in zip(left, FORBIDDEN, strict=True)] == [
            True
        ] * len(FORBIDDEN)
    assert len(good.ids) == 1


def test_a_process_that_may_delivers_what_others_left(database, add, deliver):
    """Workers without the setting look first, again and again; none of it costs an attempt."""
    with receiving(200) as receiver:
        add(*[receiver.url] * 3)
        worker, schedule = deliver(receiver, hosts="none", tasks="none"), deliver(receiver)
        for _ in range(3):
            assert worker() == 0
        make_due(database, seconds_ago=20)
        assert worker() == 0
        make_due(database)
        assert schedule() == 3
    assert {(event.state, event.attempts, event.error) for event in events(database)} == {
        ("delivered", 1, None)
    }


def test_events_for_other_processes_keep_no_other_waiting(database, add, deliver):
    with receiving(200) as good:
        add(*["http://elsewhere.example/"] * 150, *[good.url] * 3)
        assert deliver(good, hosts=HOST)() == 3


def test_a_name_that_leads_to_a_private_address_is_tried_again(database, add, deliver):
    """The name may lead elsewhere later, and another process may be allowed to go there."""
    with receiving(200) as receiver:
        add(receiver.url)
        teller = deliver(receiver)
        guard = teller.webhook.http.guard
        object.__setattr__(guard, "resolve", lambda *_: ["127.0.0.1", "10.0.0.8"])
        assert teller() == 0
        event = the_event(database)
        assert (event.state, event.attempts) == ("pending", 1)
        assert event.error == f"{HOST} has the address 10.0.0.8, which is private"
        make_due(database, started_at=utc_now() - timedelta(hours=24))
        assert teller() == 0
    assert receiver.ids == []
    assert the_event(database).state == "given_up"


@pytest.mark.parametrize("status", [429, 503, 500, 302])
def test_retry_after_is_honoured_whatever_the_status(database, add, deliver, status):
    with receiving(status) as receiver:
        receiver.answers_with["Retry-After"] = "120"
        add(receiver.url)
        before = utc_now()
        assert deliver(receiver)() == 0
    event = the_event(database)
    assert (event.state, event.attempts) == ("pending", 1)
    assert event.error.startswith(f"{HOST} answered {status}")
    assert event.error.endswith("Retry-After: 120 s")
    assert timedelta(0) <= event.next_attempt_at - before - timedelta(seconds=120) < timedelta(seconds=30)


def test_retry_after_ends_with_the_time_for_the_event(database, add, deliver):
    with receiving(503) as receiver:
        receiver.answers_with["Retry-After"] = "3600"
        add(receiver.url)
        make_due(database, started_at=utc_now() - timedelta(hours=23, minutes=50))
        assert deliver(receiver)() == 0
        event = the_event(database)
        assert event.next_attempt_at == event.started_at + timedelta(hours=24)
        make_due(database, started_at=utc_now() - timedelta(hours=24))
        assert deliver(receiver)() == 0
    assert the_event(database).state == "given_up"


def test_a_body_that_drips_is_left(add, deliver):
    with receiving(DRIP) as receiver:
        add(receiver.url)
        # Longer than a test may take: only a deliverer that leaves the body returns in time.
        assert deliver(receiver, seconds=3600.0)() == 1


def test_while_the_secret_is_changed_receivers_with_either_believe(add, deliver):
    new = new_secret()
    with receiving(200) as receiver:
        for secrets in (SECRET, f"{new},{SECRET}", new):
            add(receiver.url)
            deliver(receiver, secrets=secrets)()
    believed = [
        [verify(secret, headers, body, now=int(headers["webhook-timestamp"])) for secret in (SECRET, new)]
        for headers, body in zip(receiver.headers, receiver.bodies, strict=True)
    ]
    assert believed == [[True, False], [True, True], [False, True]]


def test_parallel_deliverers_tell_everything_once(database, add, deliver):
    with receiving(200) as receiver:
        add(*[receiver.url] * 60)
        with ThreadPoolExecutor(4) as processes:
            counts = list(processes.map(lambda _: deliver(receiver)(), range(4)))
    assert sum(counts) == 60
    assert sorted(receiver.ids) == sorted(event.event_id for event in events(database))
    assert {event.attempts for event in events(database)} == {1}


def test_what_a_process_that_died_had_in_hand_is_told_by_another(database, add, deliver):
    with receiving(200) as receiver:
        add(receiver.url)
        with database.transaction() as session:
            deliveries.take(session, limit=1, in_flight={}, at_once=1, lease=timedelta(seconds=60))
        assert deliver(receiver)() == 0
        make_due(database)
        assert deliver(receiver)() == 1
    assert the_event(database).attempts == 2


def test_where_the_outcome_cannot_be_noted_it_is_told_again(database, add, deliver, monkeypatch):
    with receiving(200) as receiver:
        add(receiver.url)
        with monkeypatch.context() as patch:
            patch.setattr(
                deliveries, "delivered", lambda session, _: session.execute(text("UPDATE nothing SET id = 1"))
            )
            assert deliver(receiver)() == 0
        make_due(database)
        assert deliver(receiver)() == 1
    assert len(receiver.ids) == 2
    assert len(set(receiver.ids)) == 1


@pytest.fixture
def discreet():
    """Log as every process of ours does."""
    before = logging.getLogRecordFactory()
    hide_queries()
    yield
    logging.setLogRecordFactory(before)


@pytest.mark.usefixtures("discreet")
def test_nothing_that_is_logged_or_kept_shows_a_query_or_a_secret(database, add, deliver, caplog):
    caplog.set_level(logging.DEBUG)
    with receiving(500, DROP, 302, 200, 410) as receiver:
        add(receiver.url, receiver.url)
        for _ in range(6):
            deliver(receiver)()
            make_due(database)
        teller = deliver(receiver)
        object.__setattr__(teller, "webhook", fails)
        add(receiver.url)
        teller()
    assert "failed" in caplog.text
    assert "attempt 1" in caplog.text
    shown = caplog.text + "".join(event.error or "" for event in events(database)) + repr(teller)
    for secret in ("5ec7e7", SECRET, SECRET[6:]):
        assert secret not in shown


def fails(_event, callback):
    raise ValueError(f"cannot post to {callback.url}")


def test_it_runs_beside_the_work_until_the_context_ends(database, add, deliver, monkeypatch):
    monkeypatch.setattr("worker.usecases.operations.deliver_events.LOOK_SECONDS", 0.01)
    with receiving(200) as receiver, deliver(receiver).running():
        add(receiver.url)
        wait_for(lambda: receiver.ids, what="the event")
    add(receiver.url)
    assert [event.state for event in events(database)] == ["pending", "delivered"]
