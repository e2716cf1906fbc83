"""Kombu's Redis transport, except that a popped message is never lost and a refusal is an outage."""

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

#: Sent when text from a queue is no message: `text` (bytes) and `problem`. It is in Redis no more.
unreadable: Final = Signal(name="unreadable", providing_args=["text", "problem"])

#: What kombu raises over text that is not JSON, and over JSON that is not a message.
_NOT_A_MESSAGE: Final = (ValueError, TypeError, LookupError, AttributeError, RecursionError)
_REFUSED: Final = (RedisError, OSError)
#: How often a write that Redis refused is tried again.
_RETRY_SECONDS: Final = 1.0


@dataclass(slots=True)
class _Popped:
    """A message that Redis popped and would not record as unacknowledged."""

    record: str
    #: Which Redis popped it; a callback may go to another one.
    broker: frozenset[object]
    #: Redelivers at once when recorded with the score 0, else after the visibility timeout.
    is_requeued: bool = False


class Unrecorded:
    """Messages that only this process has: popped, while Redis refused the write that records them.

    Shared by all channels of the process, so that a lost connection does not lose them.
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
        """Have a message delivered again as soon as Redis takes it back."""
        self._popped[tag].is_requeued = True

    def record(self, channel: "CarefulChannel", *, at_once: bool = False) -> None:
        """Record what the Redis of `channel` popped as unacknowledged, as kombu does, if it is time to try.

        Raises what Redis says.
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
    """Return what tells one Redis from another: its address, or all addresses that stand for it."""
    return frozenset(connection.alt or [(connection.hostname, connection.port, connection.virtual_host)])


def _words(error: Exception) -> str:
    """Return what Redis said, without the command: its beginning may be a message."""
    return str(error).rpartition(" of pipeline caused error: ")[2]


class CarefulQoS(kombu_redis.QoS):
    """Keeps what Redis refuses to record, and never lets a refused acknowledgement occupy a slot for ever."""

    channel: "CarefulChannel"

    def can_consume(self) -> bool:
        """Pop nothing more while a popped message is unrecorded: at most one is at risk at a time."""
        if self.channel.active_queues and self.channel.unrecorded.has_any_of(self.channel):
            try:
                self.channel.unrecorded.record(self.channel)
            except ResponseError as error:
                log.warning("waiting: Redis refuses to record a message: %s", _words(error))
            if self.channel.unrecorded.has_any_of(self.channel):
                return False
        return bool(super().can_consume())

    def append(self, message: Any, delivery_tag: str) -> None:
        """Record a message as unacknowledged; one that Redis refuses to record is worked on all the same."""
        delivery = message.delivery_info
        record = dumps([message._raw, delivery["exchange"], delivery["routing_key"]])  # noqa: SLF001 - kombu's
        try:
            super().append(message, delivery_tag)
        except _REFUSED as error:
            log.warning("Redis popped message %s and refuses to record it: %s", delivery_tag, _words(error))
            self.channel.unrecorded.add(delivery_tag, record, self.channel)
            VirtualQoS.append(self, message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge; what Redis refuses to forget is delivered again, and the ledger answers for it."""
        self.channel.unrecorded.forget(delivery_tag)
        try:
            super().ack(delivery_tag)
        except _REFUSED as error:
            log.warning("message %s is not acknowledged and comes again: %s", delivery_tag, _words(error))
            VirtualQoS.ack(self, delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Requeue or drop; what Redis refuses to move stays unacknowledged, and comes again."""
        if requeue and delivery_tag in self.channel.unrecorded:
            self.channel.unrecorded.requeue(delivery_tag)
            VirtualQoS.ack(self, delivery_tag)
            return
        self.channel.unrecorded.forget(delivery_tag)
        try:
            super().reject(delivery_tag, requeue=requeue)
        except _REFUSED as error:
            log.warning("message %s is not requeued yet and comes again: %s", delivery_tag, _words(error))
            VirtualQoS.ack(self, delivery_tag)

    def restore_unacked(self, client: Any = None) -> None:
        """Put back what was delivered and not acknowledged."""
        delivered: dict[str, Any] = self._delivered or {}
        for tag in [tag for tag in delivered if tag in self.channel.unrecorded]:
            self.channel.unrecorded.requeue(tag)
            delivered.pop(tag)
        super().restore_unacked(client)


class _RememberingRedis(Redis):
    """Remembers the last reply to BRPOP: if it is no message, it is shown to people."""

    popped: tuple[bytes, bytes] | None = None

    def parse_response(self, connection: Any, command_name: Any, **options: Any) -> Any:
        self.popped = None
        reply = super().parse_response(connection, command_name, **options)  # type: ignore[no-untyped-call]
        if command_name == "BRPOP" and reply:
            self.popped = reply[0], reply[1]
        return reply


class _Careful:
    """What both kinds of channels do."""

    QoS = CarefulQoS
    #: Of this process.
    unrecorded: Final = Unrecorded()

    def __init__(self, connection: Any, *args: Any, **options: Any) -> None:
        """Open a channel of kombu's virtual `connection`."""
        #: Known here because a closed channel has no connection.
        self.broker = _broker_of(connection.client)
        super().__init__(connection, *args, **options)  # type: ignore[call-arg]  # mixed in before kombu's

    def _get_client(self) -> type[Redis]:
        super()._get_client()  # type: ignore[misc]  # raises if redis-py is too old
        return _RememberingRedis

    def close(self) -> None:
        """Close, but first record what only this process has: kombu puts that back on the queue then."""
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
            # As if nothing came in time: kombu asks again.
            raise Empty from None


class CarefulChannel(_Careful, kombu_redis.Channel):  # type: ignore[misc]  # the stubs want kombu's own QoS
    """A channel to one Redis."""


class CarefulSentinelChannel(_Careful, kombu_redis.SentinelChannel):  # type: ignore[misc]
    """A channel to the Redis that Sentinels name."""


class CarefulTransport(kombu_redis.Transport):
    """Redis, whose refusals (READONLY, MISCONF, OOM, NOPERM) are waited out like lost connections."""

    Channel = CarefulChannel
    connection_errors = (*kombu_redis.Transport.connection_errors, ResponseError)


class CarefulSentinelTransport(kombu_redis.SentinelTransport):
    """The same behind Sentinels."""

    Channel = CarefulSentinelChannel
    connection_errors = CarefulTransport.connection_errors
