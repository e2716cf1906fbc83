"""The queue of a measurement is gone afterwards with all that is the broker's of it, and nothing else is."""

import json
from collections.abc import Iterator

import pytest
import redis
from kombu import Connection, Queue
from moderation_client import Client, InlineBytes
from support.rabbitmq import rabbitmq_server, running_rabbitmq

from worker.stage.private_queue import private_queue

PROGRAM = rabbitmq_server()


@pytest.fixture(
    params=[
        "redis",
        pytest.param(
            "rabbitmq",
            marks=pytest.mark.skipif(PROGRAM is None, reason="no rabbitmq-server is installed"),
        ),
    ]
)
def broker_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if request.param == "redis":
        yield request.getfixturevalue("redis_url")
        return
    with running_rabbitmq(PROGRAM, tmp_path_factory.mktemp("rabbitmq")) as server:
        yield server.url


def submit(broker_url: str, queue: str, count: int) -> None:
    with Client(broker_url, queue=queue) as client:
        for number in range(count):
            client.submit(InlineBytes(b"a picture"), id=f"{queue}-{number}")


def depth(broker_url: str, queue: str) -> int:
    with Client(broker_url, queue=queue) as client:
        return client.depth().waiting


def test_what_waits_goes_with_the_queue_and_another_queue_stays(broker_url):
    with private_queue(broker_url, "bench") as name, private_queue(broker_url, "bench") as other:
        submit(broker_url, name, 3)
        submit(broker_url, other, 2)
        assert depth(broker_url, name) == 3
        with private_queue(broker_url, "bench"):
            pass
        assert depth(broker_url, other) == 2
    assert depth(broker_url, name) == depth(broker_url, other) == 0


def test_what_a_killed_worker_had_is_never_put_back_by_redis(redis_url):
    with Connection(redis_url) as killed:
        with private_queue(redis_url, "bench") as other:
            submit(redis_url, other, 1)
            with private_queue(redis_url, "bench") as name:
                submit(redis_url, name, 2)
                for queue in (name, name, other):
                    assert Queue(queue)(killed.default_channel).get() is not None
                assert sorted(given_out(redis_url, name, other)) == sorted([name, name, other])
            assert given_out(redis_url, name, other) == [other]
        assert given_out(redis_url, name, other) == []
    with redis.Redis.from_url(redis_url) as connection:
        assert not [key for key in connection.scan_iter() if b"moderation-bench" in key]


def given_out(redis_url: str, *queues: str) -> list[str]:
    """Return the queues, of these, of the messages that Redis gave out and that nobody acknowledged."""
    with redis.Redis.from_url(redis_url) as connection:
        found = [json.loads(text)[2] for text in connection.hvals("unacked")]
    return [queue for queue in found if queue in queues]


def test_a_broker_that_is_away_by_then_keeps_nobody(caplog):
    with private_queue("redis://127.0.0.1:1/0", "bench") as name:
        pass
    assert f"the queue {name} could not be removed" in caplog.text
