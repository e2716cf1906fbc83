"""The examples of receivers, run as a platform would: told by a real deliverer, each event taken once."""

import json
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
import redis
from moderation_client.producer import Producer
from moderation_client.webhooks import new_secret
from sqlalchemy import select, update
from support.decided import add_events, decide
from support.deployment import wait_for
from support.receiver import HOST, SECRET, deliverer, receiving
from support.review_desk import ADA, BOB, LEA, Desk

from worker.domain.operations.event_type import EventType
from worker.domain.policies.policy import Action
from worker.domain.reviews.verdict import Answer
from worker.notifications.example_events import example_event
from worker.settings import Settings
from worker.stage.processes import running, wait_until
from worker.store.engine.column_types import utc_now
from worker.store.engine.tables import OutboxRow
from worker.store.notifications import deliveries, outbox
from worker.wiring.notifications import open_deliverer, sample_event_sender

EXAMPLES = Path(__file__).parents[3] / "examples"
GOLDEN = Path(__file__).parents[2] / "golden" / "events"
SAME_BYTES = "d" * 64


@dataclass(frozen=True)
class Listening:
    port: int


@contextmanager
def example(name: str, folder: Path, *arguments: str, until: str, **environment: str) -> Iterator[Callable]:
    """Run an example; yield what returns the lines that it has printed."""
    log = folder / f"{name}.log"
    command = [sys.executable, EXAMPLES / name, *arguments]
    with running(command, log=log, environment=environment) as process:
        wait_until(lambda: until in log.read_text(), process=process, log=log, what=name, timeout_seconds=60)
        yield lambda: log.read_text().splitlines()


def newest(database):
    with database.reading() as session:
        return outbox.newest(session, limit=1)[0]


def replay(database, event):
    with database.transaction() as session:
        assert deliveries.replay(session, event.event_id)


def make_due(database):
    with database.transaction() as session:
        session.execute(update(OutboxRow).values(next_attempt_at=utc_now() - timedelta(seconds=1)))


@pytest.fixture
def database(sqlite_database):
    return sqlite_database


def test_the_receiver_of_webhooks_takes_what_is_ours_once_and_nothing_else(database, tmp_path):
    decision_id = decide(database)
    secret = {"MODERATION_WEBHOOK_SECRET": SECRET}
    with example("receive_webhook.py", tmp_path, "--port", "0", until="listening on", **secret) as lines:
        receiver = Listening(int(lines()[0].split()[-1]))
        url = f"http://{HOST}:{receiver.port}/moderated"
        add_events(database, decision_id, url)
        assert deliverer(database, receiver, secrets=new_secret())() == 0
        event = newest(database)
        assert event.error == f"{HOST} answered 401"
        make_due(database)
        assert deliverer(database, receiver, secrets=f"{new_secret()},{SECRET}")() == 1
        replay(database, event)
        assert deliverer(database, receiver)() == 1
        add_events(database, decision_id, url)
        stale = deliverer(database, receiver)
        object.__setattr__(stale.webhook, "clock", lambda: 1_600_000_000.0)
        assert stale() == 0
        told = [line for line in lines() if line.startswith("upload-")]
    # Read when it is delivered, as of the version before 0011; the second event says nothing older.
    assert told == ["upload-1 review policy decision.made"]


def test_a_celery_of_the_platforms_own_is_called_by_its_task_on_its_queue(database, tmp_path, redis_url):
    queue = f"posts.{secrets.token_hex(4)}"
    add_events(database, decide(database), {"task": "posts.moderated", "queue": queue})
    assert deliverer(database)() == 0
    event = newest(database)
    assert event.error.startswith("the broker at redis://127.0.0.1:1/0 does not answer")
    make_due(database)
    with closing(Producer(redis_url)) as producer, redis.Redis.from_url(redis_url) as connection:
        assert deliverer(database, producer=producer)() == 1
        replay(database, event)
        assert deliverer(database, producer=producer)() == 1
        assert connection.llen(queue) == 2
        arguments = (redis_url, "--queue", queue)
        with example("receive_celery_callback.py", tmp_path, *arguments, until="upload-1") as lines:
            wait_for(lambda: not connection.llen(queue), what="both messages to be taken")
        told = [line for line in lines() if "upload-1" in line]
    assert len(told) == 1
    assert told[0].endswith("upload-1 review policy decision.made")


def live_through_everything(database, callback):
    """Have a submission decided, answered, appealed, answered again, and all of it taken back."""
    desk = Desk(database, callback=callback)
    decision_id = desk.decide(weapons=0.8, sha256=SAME_BYTES)
    verdicts = [desk.answer(ADA, Answer(Action.BLOCK, frozenset({"weapons"})))]
    desk.appeal(decision_id, "it is a toy")
    verdicts.append(desk.answer(BOB, Answer(Action.ALLOW)))
    desk.decide(weapons=0.8, sha256=SAME_BYTES)
    for verdict_id in reversed(verdicts):
        desk.reverse(LEA, verdict_id)


#: In which order events arrive, and what a receiver does then: nothing that is older than what it did.
IN_ORDER = [
    "upload-1 review policy decision.made",
    "upload-1 block reviewer verdict.made",
    "upload-1 allow appeal verdict.made",
    "upload-1 allow appeal appeal.answered",
    "upload-2 allow inherited_verdict decision.made",
    "upload-2 allow inherited_verdict verdict.made",
    "upload-1 block reviewer verdict.reversed",
    "upload-2 review policy verdict.reversed",
    "upload-1 review policy verdict.reversed",
]
IN_REVERSE = ["upload-1 review policy verdict.reversed", "upload-2 review policy verdict.reversed"]


def delivered_one_by_one(database, deliver, *, newest_first):
    """Deliver every event alone, in the order of the outbox or against it."""
    with database.transaction() as session:
        ids = session.scalars(select(OutboxRow.id).order_by(OutboxRow.id)).all()
        session.execute(update(OutboxRow).values(next_attempt_at=utc_now() + timedelta(hours=1)))
    for row in reversed(ids) if newest_first else ids:
        with database.transaction() as session:
            due = {"next_attempt_at": utc_now() - timedelta(seconds=1)}
            session.execute(update(OutboxRow).where(OutboxRow.id == row).values(**due))
        assert deliver() == 1


@pytest.mark.parametrize(("newest_first", "done"), [(False, IN_ORDER), (True, IN_REVERSE)])
def test_the_receiver_of_webhooks_does_what_is_in_force_whatever_the_order(
    database, tmp_path, newest_first, done
):
    secret = {"MODERATION_WEBHOOK_SECRET": SECRET}
    with example("receive_webhook.py", tmp_path, "--port", "0", until="listening on", **secret) as lines:
        receiver = Listening(int(lines()[0].split()[-1]))
        live_through_everything(database, {"url": f"http://{HOST}:{receiver.port}/moderated"})
        delivered_one_by_one(database, deliverer(database, receiver), newest_first=newest_first)
        assert [line for line in lines() if line.startswith("upload-")] == done


@pytest.mark.parametrize(("newest_first", "done"), [(False, IN_ORDER), (True, IN_REVERSE)])
def test_the_platforms_task_does_what_is_in_force_whatever_the_order(
    database, tmp_path, redis_url, newest_first, done
):
    queue = f"posts.{secrets.token_hex(4)}"
    live_through_everything(database, {"task": "posts.moderated", "queue": queue})
    with closing(Producer(redis_url)) as producer:
        delivered_one_by_one(database, deliverer(database, producer=producer), newest_first=newest_first)
        refused = {**example_event(EventType.SUBMISSION_REFUSED), "submission": "upload-9"}
        producer.send("posts.moderated", args=(refused,), queue=queue, shown="a refusal")
        last = "upload-9 None None submission.refused"
        with example(
            "receive_celery_callback.py", tmp_path, redis_url, "--queue", queue, until=last
        ) as lines:
            acted = [line[line.index("upload-") :] for line in lines() if "upload-" in line]
    assert acted == [*done, last]


def test_the_receiver_of_webhooks_takes_every_type_by_the_real_settings(tmp_path):
    """On one machine: the receiver is named with its port, and the real guard lets it through."""
    secret = {"MODERATION_WEBHOOK_SECRET": SECRET}
    with example("receive_webhook.py", tmp_path, "--port", "0", until="listening on", **secret) as lines:
        port = int(lines()[0].split()[-1])
        settings = Settings.read(webhook_hosts=f"127.0.0.1:{port}", webhook_secrets=SECRET)
        for kind in EventType:
            sent = sample_event_sender(settings)(kind, f"http://127.0.0.1:{port}/moderated")
            assert (sent.status, sent.problem) == (204, None)
        acted = [line.split()[1:] for line in lines() if line.startswith("test_")]
    assert acted == [
        ["block", "policy", "decision.made"],
        ["allow", "reviewer", "verdict.made"],
        ["block", "policy", "verdict.reversed"],
        ["allow", "appeal", "appeal.answered"],
        ["None", "None", "submission.refused"],
    ]


def paths(value, path=""):
    """Return the paths of all names in a JSON value; a list counts by its first entry."""
    if isinstance(value, list):
        value = value[0] if value else None
    if not isinstance(value, dict):
        return {path}
    return {found for name, one in value.items() for found in paths(one, f"{path}.{name}")}


def test_what_is_delivered_has_the_form_of_the_golden_bodies(database):
    with receiving(204) as receiver:
        live_through_everything(database, {"url": receiver.url})
        assert deliverer(database, receiver)() == 9
    for event in receiver.events:
        golden = json.loads((GOLDEN / f"{event['type']}.json").read_text(encoding="utf-8"))
        for one in (golden["data"], golden["data"]["decision"]):
            one["context"] = None
        assert paths(event) ^ paths(golden) == set()


def test_the_settings_make_a_deliverer(database, redis_url):
    """As the schedule opens it: a task by the jobs' own broker, a webhook by the real guard."""
    settings = Settings.read(
        broker_url=redis_url,
        webhook_hosts="any-public",
        webhook_secrets=f"{new_secret()}, {SECRET}",
        callback_tasks="posts.moderated",
        callback_queues="posts.*",
        callback_hours=1,
    )
    queue = f"posts.{secrets.token_hex(4)}"
    local = "https://localhost/moderated"
    add_events(database, decide(database), local, {"task": "posts.moderated", "queue": queue})
    with open_deliverer(settings, database) as deliver, deliver.running():
        with redis.Redis.from_url(redis_url) as connection:
            wait_for(lambda: connection.llen(queue) == 1, what="the message")
        wait_for(lambda: outbox_states(database) == {"pending": 1, "delivered": 1}, what="both events")
        wait_for(lambda: "localhost has the address" in (webhooks(database)[0].error or ""), what="a refusal")
    assert len(deliver.webhook.keys) == 2
    assert deliver.give_up_after == timedelta(hours=1)


def webhooks(database):
    with database.reading() as session:
        return [one for one in outbox.newest(session, limit=9) if "url" in one.callback]


def outbox_states(database):
    with database.reading() as session:
        return outbox.count_by_state(session)
