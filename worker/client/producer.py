"""Puts Celery messages on a broker, and never waits long for one that is away."""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

from amqp.exceptions import AMQPError
from celery import Celery
from kombu import Connection
from kombu.exceptions import ChannelError, OperationalError
from kombu.transport import TRANSPORT_ALIASES
from kombu.utils.url import maybe_sanitize_url

from worker.client.transport import CONFIRM_SECONDS, producer_options
from worker.domain.queue_depth import QueueDepth
from worker.errors import BrokerUnavailableError, SettingsError

#: Seconds, then an error.
_RETRY_POLICY: Final = {"max_retries": 3, "interval_start": 0.1, "interval_step": 0.3, "interval_max": 1.0}


class _FaithfulCelery(Celery):
    """Celery, but faithful to the broker it was given: CELERY_BROKER_URL is the platform's own business."""

    def __init__(self, broker_url: str) -> None:
        super().__init__("moderation-client", broker=broker_url, set_as_current=False)
        self._broker_url = broker_url

    def connection_for_write(self, url: str | None = None, *arguments: Any, **options: Any) -> Connection:
        return super().connection_for_write(url or self._broker_url, *arguments, **options)


class Producer:
    """A connection to a broker. Safe to share between threads."""

    def __init__(self, broker_url: str, *, setting: str = "MODERATION_BROKER_URL") -> None:
        """Take the address of the broker, and the setting it comes from; SettingsError where it is none.

        Connects when first needed.
        """
        self._setting = setting
        #: For people; never shows the password.
        self.address = _address(broker_url)
        self._app = _FaithfulCelery(broker_url)
        self._app.conf.update(
            task_ignore_result=True,
            task_serializer="json",
            broker_transport_options=producer_options(broker_url),
            broker_connection_timeout=5,
        )

    def send(  # noqa: PLR0913 - what a message is made of, by name
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
        """Call a task; `shown` is all that Celery's monitors and logs see of its arguments.

        BrokerUnavailableError where the broker is away.
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
                # RabbitMQ alone heeds these two: a message that no queue takes is an error, not lost, and
                # a broker that is full is not waited for.
                mandatory=True,
                confirm_timeout=CONFIRM_SECONDS,
            )
        except (OperationalError, AMQPError) as error:
            raise self._unavailable(error) from None

    def ping(self) -> None:
        """Raise BrokerUnavailableError unless the broker answers within a few seconds."""
        try:
            with self._app.connection_for_write() as connection:
                connection.ensure_connection(max_retries=1, interval_start=0, timeout=5)
        except (OperationalError, AMQPError, OSError) as error:
            raise self._unavailable(error) from None

    def depth(self, queue: str) -> QueueDepth:
        """Return what the broker has of a queue; BrokerUnavailableError unless it answers in seconds."""
        with self._connected() as channel:
            return QueueDepth(_waiting(channel, queue), _unacknowledged(channel))

    def oldest(self, queue: str, limit: int) -> list[object] | None:
        """Return the keyword arguments in the oldest messages on a queue, at most so many; [] if it is empty.

        None if only a consumer may look into a queue, as on RabbitMQ, and there is something on it.
        BrokerUnavailableError unless it answers in seconds.
        """
        with self._connected() as channel:
            if not hasattr(channel, "client"):
                return None if _waiting(channel, queue) else []
            # Redis: the next one to be taken is the last of the list.
            return [_keyword_arguments(raw) for raw in channel.client.lrange(queue, -limit, -1)]

    def close(self) -> None:
        """Close every connection."""
        self._app.close()

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        """Yield a channel; BrokerUnavailableError unless the broker answers in seconds."""
        with self._app.connection_for_write() as connection:
            away: Any = (OperationalError, OSError, *connection.connection_errors)
            try:
                connection.ensure_connection(max_retries=1, interval_start=0, timeout=5)
                yield connection.default_channel
            except away as error:
                raise self._unavailable(error) from None

    def _unavailable(self, error: Exception) -> BrokerUnavailableError:
        return BrokerUnavailableError(
            f"the broker at {self.address} does not answer: {error}",
            hint=f"see that it runs and that {self._setting} is right",
        )


def _waiting(channel: Any, queue: str) -> int:
    """Return how many messages are on a queue, whatever their priority."""
    try:
        return int(channel.queue_declare(queue, passive=True).message_count)
    except ChannelError:
        # Redis knows no empty queue, RabbitMQ none that nobody has used yet.
        return 0


def _unacknowledged(channel: Any) -> int | None:
    """Return how many messages are given out; None where the broker tells its administrators alone."""
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
        # The second of Celery's protocol is [arguments, keywords, options], the first one object.
        return found["kwargs"] if isinstance(found, dict) else found[1]
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return None


def _address(broker_url: str) -> str:
    """Return the URL without its password; SettingsError where Celery would misread it, or stumble later."""
    try:
        parts = urlsplit(broker_url)
        if parts.scheme in TRANSPORT_ALIASES and parts.port != 0:
            return str(maybe_sanitize_url(broker_url))
    except ValueError:
        pass
    shown = broker_url.rpartition("@")[2]
    raise SettingsError(f"{shown!r} is not a broker's address", hint="for example redis://127.0.0.1:6379/0")
