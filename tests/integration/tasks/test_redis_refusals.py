"""Error replies of a real Redis: the worker waits and goes on, and no message that was popped is lost."""

import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
import redis
from kombu import Consumer, Queue
from moderation_client import Client, InlineBytes
from moderation_client.broker_url import BrokerUrl
from moderation_client.redis_transport import CarefulChannel
from moderation_client.transport import BrokerConnection, worker_configuration
from support.deployment import Deployment, deploy, wait_for
from support.pictures import drawing, encoded
from support.refusals import REFUSALS, no_records, out_of_memory, read_only

from worker.errors import BrokerUnavailableError
from worker.stage.redis_server import running_redis

CAT = encoded(drawing(40, 40), "PNG")
REFUSED_SECONDS = 2


@pytest.fixture(scope="module")
def own_redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the URL of a Redis that no other file of tests uses."""
    with running_redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(scope="module")
def connection(own_redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(own_redis_url) as found:
        yield found


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory, own_redis_url: str) -> Iterator[Deployment]:
    made = deploy(tmp_path_factory.mktemp("deployment"), own_redis_url, concurrency=2)
    with made.worker():
        yield made
    made.database.dispose()


@pytest.mark.exhaustive
def test_the_worker_waits_and_loses_nothing(deployment, connection):
    ids = []
    with deployment.client() as client:
        for refusal in REFUSALS.values():
            ids += [client.submit(InlineBytes(CAT)) for _ in range(10)]
            with refusal(connection):
                time.sleep(REFUSED_SECONDS)
            ids.append(client.submit(InlineBytes(CAT)))
            deployment.decided(ids[-1:])
    assert len(deployment.decided(ids)) == 11 * len(REFUSALS)
    wait_for(lambda: not deployment.unfinished(), what="the queue and what is unacknowledged to be empty")
    log = (deployment.folder / "worker.log").read_text()
    assert "Unrecoverable" not in log
    assert "Traceback" not in log


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
def test_a_producer_gets_one_error(own_redis_url, connection, refusal):
    if refusal is no_records:
        pytest.skip("a producer writes no records")
    with Client(own_redis_url, queue="refused") as client:
        with refusal(connection), pytest.raises(BrokerUnavailableError, match=r"redis://127\.0\.0\.1"):
            client.submit(InlineBytes(CAT))
        client.submit(InlineBytes(CAT))
        assert client.depth().waiting == 1
    connection.delete("refused")


class Consumed:
    """Messages that a consumer of ours was given, over the transport that workers use."""

    def __init__(self, url: str, queue: str) -> None:
        broker = BrokerUrl.parse(url)
        options = worker_configuration(broker)["broker_transport_options"] | {"unacked_restore_interval": 1}
        self.connection = BrokerConnection(url, transport_options=options)
        self.messages: list[object] = []
        self.consumer = Consumer(
            self.connection,
            [Queue(queue)],
            on_message=self.messages.append,
            accept=["json"],
            prefetch_count=10,
        )
        self.consumer.consume()

    def drain(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with suppress(TimeoutError):
                self.connection.drain_events(timeout=0.2)

    def wait_for(self, count: int) -> None:
        wait_for(lambda: self.drain(0.1) or len(self.messages) >= count, what=f"{count} messages", seconds=20)


@pytest.fixture
def consumed(own_redis_url: str, connection: redis.Redis) -> Iterator[Consumed]:
    connection.flushall()
    made = Consumed(own_redis_url, "bare")
    yield made
    made.connection.release()
    assert not CarefulChannel.unrecorded


def submit(url: str, count: int) -> None:
    with Client(url, queue="bare") as client:
        for _ in range(count):
            client.submit(InlineBytes(CAT))


def test_what_redis_refuses_to_record_is_worked_on_one_at_a_time_and_recorded_later(
    own_redis_url, connection, consumed
):
    submit(own_redis_url, 3)
    with out_of_memory(connection):
        consumed.drain(3)
        assert [len(consumed.messages), connection.llen("bare"), connection.hlen("unacked")] == [1, 2, 0]
        consumed.messages[0].ack()
        consumed.wait_for(2)
        assert [connection.llen("bare"), connection.hlen("unacked")] == [1, 0]
    consumed.wait_for(3)
    assert [connection.llen("bare"), connection.hlen("unacked")] == [0, 2]
    for message in consumed.messages[1:]:
        message.ack()
    assert connection.hlen("unacked") == connection.zcard("unacked_index") == 0


def test_what_is_requeued_while_redis_refuses_comes_again(own_redis_url, connection, consumed):
    submit(own_redis_url, 1)
    with out_of_memory(connection):
        consumed.wait_for(1)
        consumed.messages[0].requeue()
        consumed.drain(2)
        assert [connection.llen("bare"), connection.hlen("unacked")] == [0, 0]
    consumed.wait_for(2)
    assert consumed.messages[1].body == consumed.messages[0].body
    consumed.messages[1].ack()


def test_what_a_lost_connection_left_unrecorded_is_recorded_by_the_next(own_redis_url, connection, consumed):
    submit(own_redis_url, 1)
    with no_records(connection):
        consumed.wait_for(1)
        consumed.connection.release()
    assert [connection.llen("bare"), connection.hlen("unacked"), len(CarefulChannel.unrecorded)] == [0, 0, 1]
    again = Consumed(own_redis_url, "bare")
    again.wait_for(1)
    again.messages[0].ack()  # type: ignore[attr-defined]
    again.connection.release()


def test_a_channel_that_is_closed_twice_stays_closed_while_something_is_unrecorded(
    own_redis_url, connection, consumed
):
    submit(own_redis_url, 1)
    with no_records(connection):
        consumed.wait_for(1)
        channel = consumed.consumer.channel
        for _ in range(2):
            channel.close()
        consumed.connection.release()
    again = Consumed(own_redis_url, "bare")
    again.wait_for(1)
    again.messages[0].ack()  # type: ignore[attr-defined]
    again.connection.release()


def test_what_was_popped_from_one_redis_is_recorded_in_no_other(own_redis_url, connection, consumed):
    submit(own_redis_url, 1)
    # Another database of the server stands for another broker, such as that of a callback.
    other_url = own_redis_url.rpartition("/")[0] + "/1"
    with no_records(connection):
        consumed.wait_for(1)
        consumed.connection.release()
    other = Consumed(other_url, "bare")
    submit(other_url, 1)
    other.wait_for(1)
    with redis.Redis.from_url(other_url) as elsewhere:
        assert elsewhere.hlen("unacked") == 1
    other.messages[0].ack()  # type: ignore[attr-defined]
    other.connection.release()
    assert len(CarefulChannel.unrecorded) == 1
    again = Consumed(own_redis_url, "bare")
    again.wait_for(1)
    again.messages[0].ack()  # type: ignore[attr-defined]
    again.connection.release()


def test_an_acknowledgement_that_is_refused_occupies_no_slot(own_redis_url, connection, consumed):
    submit(own_redis_url, 2)
    consumed.wait_for(2)
    with read_only(connection):
        consumed.messages[0].ack()
        consumed.messages[1].requeue()
    assert connection.hlen("unacked") == 2
    assert len(consumed.consumer.channel.qos._delivered) - len(consumed.consumer.channel.qos._dirty) == 0
    connection.flushall()
