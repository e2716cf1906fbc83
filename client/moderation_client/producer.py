"""Publishes Celery messages; raises within seconds if the broker is unavailable."""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from amqp.exceptions import AMQPError
from kombu.exceptions import ChannelError, OperationalError
from redis.exceptions import RedisError

from moderation_client.broker_url import BrokerUrl
from moderation_client.errors import BrokerUnavailableError
from moderation_client.queue_depth import QueueDepth
from moderation_client.transport import CONFIRM_SECONDS, BrokerCelery, producer_configuration

#: Retries for about a second, then raises.
_RETRY_POLICY: Final = {"max_retries": 3, "interval_start": 0.1, "interval_step": 0.3, "interval_max": 1.0}

#: The errors of a broker of any kind that is unavailable or refuses.
_UNAVAILABLE: Final = (OperationalError, AMQPError, RedisError, OSError)


class _ProducerCelery(BrokerCelery):
    def __init__(self, broker: BrokerUrl) -> None:
        super().__init__("moderation-client", set_as_current=False)
        self._url = broker
        self.conf.update(producer_configuration(broker))

    @property
    def broker(self) -> BrokerUrl:
        return self._url


class Producer:
    """A connection to a broker. Threads may share it."""

    def __init__(self, broker_url: str, *, setting: str = "MODERATION_BROKER_URL") -> None:
        """Parse the broker URL, a value of `setting`; SettingsError if it is invalid.

        Connects on first use.
        """
        self._setting = setting
        broker = BrokerUrl.parse(broker_url, setting)
        #: The broker URL for logs and errors, without the password.
        self.address = str(broker)
        self._app = _ProducerCelery(broker)
        self._app.conf.update(task_ignore_result=True, task_serializer="json", broker_connection_timeout=5)

    def send(  # noqa: PLR0913 - the parts of a message, all by name
        self,
        task: str,
        *,
        queue: str,
        shown: str,
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
        task_id: str | None = None,
        headers: Mapping[str, Any] | None = None,
    ) -> None:
        """Call a task; Celery's monitors and logs see `shown` instead of its arguments.

        BrokerUnavailableError if the broker is unavailable.
        """
        try:
            self._app.send_task(
                task,
                args=args,
                kwargs=kwargs,
                argsrepr=shown,
                kwargsrepr=shown,
                queue=queue,
                task_id=task_id,
                headers=headers,
                retry_policy=_RETRY_POLICY,
                # For RabbitMQ: a message that reaches no queue raises instead of being lost, and a full
                # broker times out.
                mandatory=True,
                confirm_timeout=CONFIRM_SECONDS,
            )
        except _UNAVAILABLE as error:
            raise self._unavailable(error) from None

    def ping(self) -> None:
        """Raise BrokerUnavailableError unless the broker answers within a few seconds."""
        try:
            with self._app.connection_for_write() as connection:
                connection.ensure_connection(max_retries=1, interval_start=0, timeout=5)
        except _UNAVAILABLE as error:
            raise self._unavailable(error) from None

    def depth(self, queue: str) -> QueueDepth:
        """Return a queue's message counts; BrokerUnavailableError unless the broker answers in seconds."""
        with self._connected() as channel:
            return QueueDepth(_waiting(channel, queue), _unacknowledged(channel))

    def oldest(self, queue: str, limit: int) -> list[object] | None:
        """Return the keyword arguments of the oldest `limit` messages on a queue; [] if it is empty.

        None if the queue is not empty but only consumers can read it, as on RabbitMQ.
        BrokerUnavailableError unless it answers in seconds.
        """
        with self._connected() as channel:
            if not hasattr(channel, "client"):
                return None if _waiting(channel, queue) else []
            # Redis delivers from the end of the list.
            return [_keyword_arguments(raw) for raw in channel.client.lrange(queue, -limit, -1)]

    def close(self) -> None:
        """Close every connection."""
        self._app.close()

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        """Yield a channel; BrokerUnavailableError unless the broker answers in seconds."""
        with self._app.connection_for_write() as connection:
            try:
                connection.ensure_connection(max_retries=1, interval_start=0, timeout=5)
                yield connection.default_channel
            except _UNAVAILABLE as error:
                raise self._unavailable(error) from None

    def _unavailable(self, error: Exception) -> BrokerUnavailableError:
        hint = f"check that it runs and that {self._setting} is right"
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            hint = (
                "its certificate is not trusted: name a private certificate authority with "
                f"?ssl_ca_certs=/path/ca.pem at the end of {self._setting}"
            )
        return BrokerUnavailableError(f"the broker at {self.address} does not answer: {error}", hint=hint)


def _waiting(channel: Any, queue: str) -> int:
    """Return the number of messages on a queue, of all priorities."""
    try:
        return int(channel.queue_declare(queue, passive=True).message_count)
    except ChannelError:
        # In Redis an empty queue does not exist, in RabbitMQ one that was never used.
        return 0


def _unacknowledged(channel: Any) -> int | None:
    """Return the number of unacknowledged messages; None if only the broker's administrators can see it."""
    key = getattr(channel, "unacked_key", None)
    return None if key is None else int(channel.client.hlen(key))


def _keyword_arguments(raw: bytes | str) -> object:
    """Return the keyword arguments in a message as kombu writes it to Redis; None if it is malformed."""
    try:
        message = json.loads(raw)
        body = message["body"]
        if message["properties"].get("body_encoding") == "base64":
            body = base64.b64decode(body)
        found = json.loads(body)
        # Celery's protocol 2 is [arguments, keywords, options], protocol 1 an object.
        return found["kwargs"] if isinstance(found, dict) else found[1]
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return None
