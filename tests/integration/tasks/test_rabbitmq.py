"""RabbitMQ in Redis's place by the broker's URL alone: a real server, where one is installed, and real workers."""

import os
import signal
from collections.abc import Iterator

import pytest
from celery import Celery
from moderation_client import Client, InlineBytes, LocalFile, Submission
from sqlalchemy import func, select, text
from support.deployment import Deployment, deploy, wait_for
from support.pictures import drawing, encoded
from support.rabbitmq import RabbitMQ, rabbitmq_server, running_rabbitmq
from support.web_api import Api, make_key, serving_api

from worker.errors import BrokerUnavailableError
from worker.store.engine.tables import DecisionRow

PROGRAM = rabbitmq_server()
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no rabbitmq-server is installed")
CAT = encoded(drawing(40, 40), "PNG")


@pytest.fixture(scope="module")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    with running_rabbitmq(PROGRAM, tmp_path_factory.mktemp("rabbitmq")) as server:
        yield server


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory, rabbitmq: RabbitMQ) -> Iterator[Deployment]:
    made = deploy(tmp_path_factory.mktemp("deployment"), rabbitmq.url)
    yield made
    made.database.dispose()


def waiting(deployment: Deployment) -> int:
    """Return how many messages wait to be given to a worker."""
    settings = deployment.settings
    with (
        Celery(broker=settings.broker_url, set_as_current=False) as app,
        app.connection_for_write() as broker,
    ):
        return broker.default_channel.queue_declare(settings.queue, passive=True).message_count  # type: ignore[attr-defined]


def submit(deployment: Deployment, count: int, name: str) -> list[str]:
    with deployment.client() as client:
        return [client.submit(InlineBytes(CAT), id=f"{name}-{n}") for n in range(count)]


def count_decisions(deployment: Deployment) -> int:
    with deployment.database.reading() as session:
        return session.scalar(select(func.count(DecisionRow.id)))


@pytest.fixture(scope="module")
def worker_after_a_killed_one(deployment):
    """Yield what a worker was given when another was killed -9, and keep that worker for the other tests."""
    with deployment.worker("first") as victim:
        ids = submit(deployment, 120, "killed")
        wait_for(lambda: count_decisions(deployment) >= 1, what="the first decision")
        os.kill(victim.pid, signal.SIGSTOP)
        left = len(ids) - count_decisions(deployment)
        assert waiting(deployment) < left, "the worker had nothing in hand: the test shows nothing"
        os.kill(victim.pid, signal.SIGKILL)
        wait_for(lambda: waiting(deployment) >= left, what="all in hand to be back", seconds=20)
    with deployment.worker():
        yield ids


def test_a_killed_workers_jobs_are_given_out_again_at_once_and_decided_once(
    deployment, worker_after_a_killed_one
):
    assert len(deployment.decided(worker_after_a_killed_one)) == 120


@pytest.mark.usefixtures("worker_after_a_killed_one")
def test_while_the_tables_are_away_nothing_is_lost(deployment):
    with deployment.database.transaction() as session:
        session.execute(text("ALTER TABLE decisions RENAME TO away"))
    try:
        ids = submit(deployment, 40, "away")
        log = deployment.folder / "worker.log"
        wait_for(lambda: log.read_text().count("waiting: ") > 16, what="jobs to have gone back to the queue")
    finally:
        with deployment.database.transaction() as session:
            session.execute(text("ALTER TABLE away RENAME TO decisions"))
    assert len(deployment.decided(ids)) == 40


@pytest.mark.usefixtures("worker_after_a_killed_one")
def test_a_broker_that_restarts_loses_nothing_and_its_worker_goes_on(deployment, rabbitmq):
    ids = submit(deployment, 60, "restart")
    deployment.decided(ids[:5])
    rabbitmq.stop()
    with deployment.client() as client, pytest.raises(BrokerUnavailableError, match="refused"):
        client.submit(InlineBytes(CAT))
    rabbitmq.start()
    ids += submit(deployment, 10, "after")
    assert len(deployment.decided(ids)) == 70
    wait_for(lambda: waiting(deployment) == 0, what="the queue to be empty")


@pytest.mark.usefixtures("worker_after_a_killed_one")
def test_many_in_one_message_are_decided(deployment):
    path = deployment.save_picture("cat.png", CAT)
    with deployment.client() as client:
        ids = client.submit_many([Submission(f"many-{n}", LocalFile(path)) for n in range(64)])
    assert len(deployment.decided(ids)) == 64


@pytest.mark.usefixtures("worker_after_a_killed_one")
def test_what_http_accepts_is_decided(deployment):
    with serving_api(deployment.settings) as (url, _):
        api = Api(url, make_key(deployment.database))
        headers = {"Prefer": "wait=30"}
        answer = api.post("/v1/submissions", files={"picture": CAT}, data={"id": "http"}, headers=headers)
        assert (answer.status_code, answer.json()["id"]) == (200, "http")


@pytest.mark.parametrize(
    ("address", "words"), [("guest:wrong@", "ACCESS_REFUSED"), ("guest:guest@", "vhost nowhere not found")]
)
def test_a_broker_that_refuses_us_is_named_with_its_reason_and_without_the_password(rabbitmq, address, words):
    url = rabbitmq.url.replace("guest:guest@", address)
    with Client(url if "wrong" in url else url[:-1] + "nowhere") as client:
        for call in (client.ping, lambda: client.submit(LocalFile("cat.png"))):
            with pytest.raises(BrokerUnavailableError, match=words) as caught:
                call()
            assert "wrong" not in caught.value.message


def test_a_message_that_no_queue_takes_is_an_error_and_sent_anew_the_next_time(rabbitmq):
    with (
        Client(rabbitmq.url, queue="gone") as client,
        Celery(broker=rabbitmq.url, set_as_current=False) as app,
        app.connection_for_write() as connection,
    ):
        client.submit(LocalFile("cat.png"))
        connection.default_channel.queue_delete("gone")  # type: ignore[attr-defined]
        with pytest.raises(BrokerUnavailableError, match="NO_ROUTE"):
            client.submit(LocalFile("cat.png"))
        client.submit(LocalFile("cat.png"))
        assert connection.default_channel.queue_declare("gone", passive=True).message_count == 1  # type: ignore[attr-defined]
