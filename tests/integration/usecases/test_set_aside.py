"""What the ledger cannot take comes back by the queue for a minute, then from the database: on both databases."""

from datetime import timedelta
from types import SimpleNamespace

import pytest
from prometheus_client import generate_latest
from sqlalchemy import select, text, update
from support.deployment import deploy

from worker.errors import BrokerUnavailableError
from worker.observability.metrics import Metrics
from worker.store.engine.column_types import utc_now
from worker.store.engine.tables import SetAsideMessageRow
from worker.usecases.submissions.republish_set_aside import RepublishSetAside
from worker.usecases.submissions.set_aside import LONGEST_PAUSE, REQUEUE_FOR, SHORTEST_PAUSE, SetAside

MESSAGE = {"id": "upload-1", "source": {"kind": "bytes", "base64": "YWJj"}, "reference": "\0 \ud800"}
BROKEN = ValueError("index is corrupted\n[parameters: secret]")


@pytest.fixture
def clock():
    return SimpleNamespace(now=0.0)


@pytest.fixture
def deployment(tmp_path, redis_url, database_url):
    made = deploy(tmp_path, redis_url, database_url)
    yield made
    made.database.dispose()


@pytest.fixture
def metrics():
    return Metrics()


@pytest.fixture
def set_aside(deployment, metrics, clock):
    return SetAside(deployment.database, metrics, lambda: clock.now)


def rows(deployment):
    with deployment.database.reading() as session:
        return session.scalars(select(SetAsideMessageRow)).all()


def make_due(deployment):
    with deployment.database.transaction() as session:
        session.execute(update(SetAsideMessageRow).values(publish_at=utc_now() - timedelta(seconds=1)))


def test_for_a_minute_it_comes_back_by_the_queue_and_copies_are_kept_once(
    deployment, set_aside, metrics, clock
):
    assert not set_aside(MESSAGE, BROKEN)
    clock.now = REQUEUE_FOR.total_seconds() - 1
    assert not set_aside(MESSAGE, BROKEN)
    assert rows(deployment) == []
    clock.now += 1
    assert set_aside(MESSAGE, BROKEN)
    assert set_aside(dict(MESSAGE), BROKEN)
    (kept,) = rows(deployment)
    assert (kept.submission_id, kept.error) == ("upload-1", "ValueError: index is corrupted")
    assert timedelta(seconds=59) <= utc_now() - kept.failing_since <= timedelta(seconds=90)
    assert b"moderation_not_claimed_total 4.0" in generate_latest(metrics.registry)


def test_the_pauses_grow_with_the_time_it_has_been_failing(deployment, set_aside, clock):
    set_aside(MESSAGE, BROKEN)
    pauses = []
    for clock.now in (60, 600, 36_000):
        assert set_aside(MESSAGE, BROKEN)
        pauses.append(rows(deployment)[0].publish_at - utc_now())
    assert SHORTEST_PAUSE < pauses[0] <= timedelta(seconds=60) < pauses[1] <= timedelta(minutes=10)
    assert timedelta(minutes=59) < pauses[2] <= LONGEST_PAUSE


def test_what_cannot_even_be_set_aside_comes_back_by_the_queue(deployment, set_aside, clock):
    set_aside(MESSAGE, BROKEN)
    clock.now = 60
    with deployment.database.transaction() as session:
        session.execute(text("ALTER TABLE set_aside_messages RENAME TO away"))
    assert not set_aside(MESSAGE, BROKEN)


def test_it_is_published_again_as_it_came_and_is_then_no_longer_set_aside(deployment, set_aside, clock):
    set_aside(MESSAGE, BROKEN)
    clock.now = 60
    set_aside(MESSAGE, BROKEN)
    with deployment.client() as client:
        republish = RepublishSetAside(deployment.database, client)
        assert republish() == 0
        make_due(deployment)
        assert republish() == 1
        assert republish() == 0
    assert deployment.unfinished() == {"upload-1"}
    assert rows(deployment) == []


def test_while_it_is_published_others_write_and_what_is_set_aside_anew_is_kept(
    deployment, set_aside, clock, monkeypatch
):
    for clock.now in (0, 60):
        for name in ("upload-1", "upload-2"):
            set_aside(MESSAGE | {"id": name}, BROKEN)
    make_due(deployment)
    sent = []

    def resend(message):
        sent.append(message["id"])
        # SQLite has one writer's turn: this would wait for it in vain.
        set_aside(MESSAGE, BROKEN)

    with deployment.client() as client:
        monkeypatch.setattr(client, "resend", resend)
        assert RepublishSetAside(deployment.database, client)() == 2
    assert sorted(sent) == ["upload-1", "upload-2"]
    assert [one.submission_id for one in rows(deployment)] == ["upload-1"]


def test_while_the_broker_is_away_it_stays_set_aside(deployment, set_aside, clock, monkeypatch):
    set_aside(MESSAGE, BROKEN)
    clock.now = 60
    set_aside(MESSAGE, BROKEN)
    make_due(deployment)

    def away(_):
        raise BrokerUnavailableError("the broker is away")

    with deployment.client() as client:
        monkeypatch.setattr(client, "resend", away)
        with pytest.raises(BrokerUnavailableError):
            RepublishSetAside(deployment.database, client)()
    assert len(rows(deployment)) == 1
