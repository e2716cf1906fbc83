"""A queue with a random name that is removed afterwards, with everything that the broker stores for it."""

import json
import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from amqp.exceptions import AMQPError
from kombu import Exchange, Queue
from kombu.exceptions import OperationalError
from moderation_client.broker_url import BrokerUrl
from moderation_client.transport import connect

log = logging.getLogger(__name__)


@contextmanager
def private_queue(broker_url: str, purpose: str) -> Iterator[str]:
    """Yield a name for a queue; remove the queue at the end, when nothing may use it any more."""
    name = f"moderation-{purpose}-{secrets.token_hex(4)}"
    try:
        yield name
    finally:
        try:
            remove(broker_url, name)
        except (OperationalError, AMQPError, OSError) as error:
            log.warning("the queue %s could not be removed: %s", name, error)


def remove(broker_url: str, name: str) -> None:
    """Remove a queue, the exchange that Celery created for it, and its unacknowledged messages."""
    broker = BrokerUrl.parse(broker_url)
    with connect(broker) as connection:
        connection.ensure_connection(max_retries=1, interval_start=0, timeout=5)
        channel = connection.default_channel
        exchange = Exchange(name, "direct")
        queue = Queue(name, exchange, routing_key=name)(channel)
        # On Redis, only the connection that declared a queue knows its bindings.
        queue.declare()
        queue.delete()
        exchange(channel).delete()
        if broker.is_redis:
            _delete_unacknowledged(channel, name)


def _delete_unacknowledged(channel: Any, name: str) -> None:
    """Delete the messages of a killed worker; kombu would otherwise restore them to the removed queue."""
    for tag, text in channel.client.hscan_iter(channel.unacked_key):
        _, _, routing_key = json.loads(text)
        if routing_key == name:
            channel.client.hdel(channel.unacked_key, tag)
            channel.client.zrem(channel.unacked_index_key, tag)
