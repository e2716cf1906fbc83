"""Puts Celery messages on a broker, and never waits long for one that is away."""

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from celery import Celery
from kombu import Connection
from kombu.exceptions import OperationalError
from kombu.transport import TRANSPORT_ALIASES
from kombu.utils.url import maybe_sanitize_url

from worker.errors import BrokerUnavailableError, SettingsError

#: Seconds, then an error.
_RETRY_POLICY: Final = {"max_retries": 3, "interval_start": 0.1, "interval_step": 0.3, "interval_max": 1.0}
_TRANSPORT_OPTIONS: Final = {"socket_connect_timeout": 5, "socket_timeout": 30, "socket_keepalive": True}


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
        self._address = _address(broker_url)
        self._app = _FaithfulCelery(broker_url)
        self._app.conf.update(
            task_ignore_result=True,
            task_serializer="json",
            broker_transport_options=_TRANSPORT_OPTIONS,
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
                retry_policy=_RETRY_POLICY,
            )
        except OperationalError as error:
            raise self._unavailable(error) from None

    def ping(self) -> None:
        """Raise BrokerUnavailableError unless the broker answers within a few seconds."""
        try:
            with self._app.connection_for_write() as connection:
                connection.ensure_connection(max_retries=1, interval_start=0, timeout=5)
        except (OperationalError, OSError) as error:
            raise self._unavailable(error) from None

    def close(self) -> None:
        """Close every connection."""
        self._app.close()

    def _unavailable(self, error: Exception) -> BrokerUnavailableError:
        return BrokerUnavailableError(
            f"the broker at {self._address} does not answer: {error}",
            hint=f"start Redis, or set {self._setting} to where it runs",
        )


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
