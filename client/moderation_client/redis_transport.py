"""Extends kombu's Redis transport: a popped message is never lost, and a refused write is an outage."""

import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty
from typing import Any, Final

from celery.utils.dispatch import Signal
from kombu.transport import redis as kombu_redis
from kombu.transport.virtual import QoS as VirtualQoS
from kombu.utils.json import dumps
from redis import Redis
from redis.exceptions import RedisError, ResponseError

log = logging.getLogger(__name__)

#: Signals that text from a queue is not a message: `text` (bytes), `problem`. Redis no longer has it.
unreadable: Final = Signal(name="unreadable", providing_args=["text", "problem"])

#: What kombu raises for text that is not JSON, and for JSON that is not a message.
_NOT_A_MESSAGE: Final = (ValueError, TypeError, LookupError, AttributeError, RecursionError)
_REFUSED: Final = (RedisError, OSError)
#: A refused write is retried at this interval.
_RETRY_SECONDS: Final = 1.0


@dataclass(slots=True)
class _Popped:
    """A popped message that Redis refused to record as unacknowledged."""

    record: str
    #: The Redis that popped it; callbacks may use another one.
    broker: frozenset[object]
    #: If true, it is recorded with score 0 and redelivered at once, else after the visibility timeout.
    is_requeued: bool = False


class UnrecordedMessages:
    """Popped messages that only this process has, since Redis refused to record them.

    All channels of the process share them, so that they survive a lost connection.
    """

    def __init__(self) -> None:
        self._popped: dict[str, _Popped] = {}
        self._next_try = 0.0

    def __len__(self) -> int:
        return len(self._popped)

    def __contains__(self, tag: str) -> bool:
        return tag in self._popped

    def add(self, tag: str, record: str, channel: "CarefulChannel") -> None:
        """Keep a message that `channel` popped until it is acknowledged or recorded."""
        self._popped[tag] = _Popped(record, channel.broker)

    def has_any_of(self, channel: "CarefulChannel") -> bool:
        """Whether any message was popped from the Redis of `channel`."""
        return bool(self._popped) and bool(self._of(channel))

    def forget(self, tag: str) -> None:
        """Forget a message that is acknowledged."""
        self._popped.pop(tag, None)

    def requeue(self, tag: str) -> None:
        """Redeliver a message as soon as Redis accepts it."""
        self._popped[tag].is_requeued = True

    def record(self, channel: "CarefulChannel", *, at_once: bool = False) -> None:
        """Record the messages from the Redis of `channel` as unacknowledged, in kombu's format.

        Tries once a second at most unless `at_once`. Raises the error of Redis.
        """
        if not self.has_any_of(channel) or (time.monotonic() < self._next_try and not at_once):
            return
        self._next_try = time.monotonic() + _RETRY_SECONDS
        for tag, popped in self._of(channel):
            score = 0.0 if popped.is_requeued else time.time()
            with channel.conn_or_acquire() as client, client.pipeline() as pipe:
                pipe.zadd(channel.unacked_index_key, {tag: score})
                pipe.hset(channel.unacked_key, tag, popped.record)
                pipe.execute()
            self.forget(tag)
        log.warning("Redis accepts writes again: every popped message is recorded")

    def _of(self, channel: "CarefulChannel") -> list[tuple[str, _Popped]]:
        return [(tag, popped) for tag, popped in self._popped.items() if popped.broker == channel.broker]


def _broker_of(connection: Any) -> frozenset[object]:
    """Return the identity of a Redis: its address, or all its addresses if there are several."""
    return frozenset(connection.alt or [(connection.hostname, connection.port, connection.virtual_host)])


def _reason(error: Exception) -> str:
    """Return the error of Redis without the command, which may contain a message."""
    return str(error).rpartition(" of pipeline caused error: ")[2]


class CarefulQoS(kombu_redis.QoS):
    """Keeps messages that Redis refuses to record; a refused acknowledgement still frees a prefetch slot."""

    channel: "CarefulChannel"

    def can_consume(self) -> bool:
        """Pop nothing more while a popped message is unrecorded: at most one is at risk at a time."""
        if self.channel.active_queues and self.channel.unrecorded.has_any_of(self.channel):
            try:
                self.channel.unrecorded.record(self.channel)
            except ResponseError as error:
                log.warning("no message is fetched: Redis refuses to record the last one: %s", _reason(error))
            if self.channel.unrecorded.has_any_of(self.channel):
                return False
        return bool(super().can_consume())

    def append(self, message: Any, delivery_tag: str) -> None:
        """Record a message as unacknowledged; it is processed even if Redis refuses to record it."""
        delivery = message.delivery_info
        record = dumps([message._raw, delivery["exchange"], delivery["routing_key"]])  # noqa: SLF001 - kombu's
        try:
            super().append(message, delivery_tag)
        except _REFUSED as error:
            log.warning("Redis popped message %s and refuses to record it: %s", delivery_tag, _reason(error))
            self.channel.unrecorded.add(delivery_tag, record, self.channel)
            VirtualQoS.append(self, message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge; if Redis refuses, the message is redelivered and the ledger recognises it."""
        self.channel.unrecorded.forget(delivery_tag)
        try:
            super().ack(delivery_tag)
        except _REFUSED as error:
            log.warning(
                "message %s cannot be acknowledged, it will be redelivered: %s", delivery_tag, _reason(error)
            )
            VirtualQoS.ack(self, delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Requeue or drop; if Redis refuses, the message stays unacknowledged and is redelivered."""
        if requeue and delivery_tag in self.channel.unrecorded:
            self.channel.unrecorded.requeue(delivery_tag)
            VirtualQoS.ack(self, delivery_tag)
            return
        self.channel.unrecorded.forget(delivery_tag)
        try:
            super().reject(delivery_tag, requeue=requeue)
        except _REFUSED as error:
            log.warning(
                "message %s cannot be requeued, it will be redelivered: %s", delivery_tag, _reason(error)
            )
            VirtualQoS.ack(self, delivery_tag)

    def restore_unacked(self, client: Any = None) -> None:
        """Requeue every message that is delivered and not acknowledged."""
        delivered: dict[str, Any] = self._delivered or {}
        for tag in [tag for tag in delivered if tag in self.channel.unrecorded]:
            self.channel.unrecorded.requeue(tag)
            delivered.pop(tag)
        super().restore_unacked(client)


class _RememberingRedis(Redis):
    """Remembers the last reply to BRPOP, which is reported if it is not a message."""

    popped: tuple[bytes, bytes] | None = None

    def parse_response(self, connection: Any, command_name: Any, **options: Any) -> Any:
        self.popped = None
        reply = super().parse_response(connection, command_name, **options)  # type: ignore[no-untyped-call]
        if command_name == "BRPOP" and reply:
            self.popped = reply[0], reply[1]
        return reply


class _Careful:
    """Behaviour of both kinds of channel."""

    QoS = CarefulQoS
    #: Those of this process.
    unrecorded: Final = UnrecordedMessages()

    def __init__(self, connection: Any, *args: Any, **options: Any) -> None:
        """Open a channel of kombu's virtual `connection`."""
        #: Stored, since a closed channel has no connection.
        self.broker = _broker_of(connection.client)
        super().__init__(connection, *args, **options)  # type: ignore[call-arg]  # mixed in before kombu's

    def _get_client(self) -> type[Redis]:
        super()._get_client()  # type: ignore[misc]  # raises if redis-py is too old
        return _RememberingRedis

    def close(self) -> None:
        """Record the messages that only this process has, so that kombu requeues them; then close."""
        channel: CarefulChannel = self  # type: ignore[assignment]
        # Celery closes some channels twice.
        if not channel.closed:
            with suppress(*_REFUSED):
                self.unrecorded.record(channel, at_once=True)
        super().close()  # type: ignore[misc]

    def _brpop_read(self, **options: Any) -> bool:
        try:
            return bool(super()._brpop_read(**options))  # type: ignore[misc]  # the stubs lack it
        except _NOT_A_MESSAGE as error:
            client: _RememberingRedis = self.client  # type: ignore[attr-defined]
            if client.popped is None:
                raise
            _, text = client.popped
            problem = f"{type(error).__name__}: {error}"
            unreadable.send(sender=self, text=text, problem=problem)
            # As if BRPOP had timed out: kombu calls it again.
            raise Empty from None


class CarefulChannel(_Careful, kombu_redis.Channel):  # type: ignore[misc]  # the stubs want kombu's own QoS
    """A channel to one Redis."""


class CarefulSentinelChannel(_Careful, kombu_redis.SentinelChannel):  # type: ignore[misc]
    """A channel to the Redis that Sentinels name."""


class CarefulTransport(kombu_redis.Transport):
    """Redis; a refusal (READONLY, MISCONF, OOM, NOPERM) is retried like a lost connection."""

    Channel = CarefulChannel
    connection_errors = (*kombu_redis.Transport.connection_errors, ResponseError)


class CarefulSentinelTransport(kombu_redis.SentinelTransport):
    """`CarefulTransport` behind Sentinels."""

    Channel = CarefulSentinelChannel
    connection_errors = CarefulTransport.connection_errors
