"""The examples of receivers, run as a platform would: told by a real deliverer, each event taken once."""

import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
import redis
from sqlalchemy import update
from support.decided import add_events, decide
from support.deployment import wait_for
from support.receiver import HOST, SECRET, deliverer

from worker.client.producer import Producer
from worker.demo.processes import running, wait_until
from worker.notifications.signature import new_secret
from worker.settings import Settings
from worker.store import outbox
from worker.store.column_types import utc_now
from worker.store.tables import OutboxRow
from worker.wiring.telling import open_deliverer

EXAMPLES = Path(__file__).parents[3] / "examples"


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
        assert outbox.replay(session, event.event_id)


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
        told = [line for line in lines() if line.startswith("evt_")]
    assert told == [f"{event.event_id} upload-1 review weapons 0.75"]


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
        with example("receive_celery_callback.py", tmp_path, *arguments, until="evt_") as lines:
            wait_for(lambda: not connection.llen(queue), what="both messages to be taken")
        told = [line for line in lines() if "evt_" in line]
    assert len(told) == 1
    assert told[0].endswith(f"{event.event_id} upload-1 review weapons 0.75")


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
        wait_for(lambda: outbox_states(database) == {"given_up": 1, "delivered": 1}, what="both events")
    assert len(deliver.webhook.keys) == 2
    assert deliver.give_up_after == timedelta(hours=1)


def outbox_states(database):
    with database.reading() as session:
        return outbox.count_by_state(session)
