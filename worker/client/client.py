"""The producer's client: puts submissions on the queue and returns their ids."""

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

from amqp.exceptions import AMQPError
from celery import Celery
from kombu import Connection
from kombu.exceptions import OperationalError
from kombu.transport import TRANSPORT_ALIASES
from kombu.utils.url import maybe_sanitize_url

from worker.client.messages import DEFAULT_QUEUE, TASK, TASK_MANY, to_many_message, to_message
from worker.client.transport import CONFIRM_SECONDS, producer_options
from worker.domain.callback import Callback
from worker.domain.submission import Source, Submission, new_submission_id
from worker.errors import BrokerUnavailableError, SettingsError

#: A producer must not hang on a broker that is away: seconds, then an error.
_RETRY_POLICY: Final = {"max_retries": 3, "interval_start": 0.1, "interval_step": 0.3, "interval_max": 1.0}


class _Producer(Celery):
    """Celery, but faithful to the broker it was given: CELERY_BROKER_URL is the platform's own business."""

    def __init__(self, broker_url: str) -> None:
        super().__init__("moderation-client", broker=broker_url, set_as_current=False)
        self._broker_url = broker_url

    def connection_for_write(self, url: str | None = None, *arguments: Any, **options: Any) -> Connection:
        return super().connection_for_write(url or self._broker_url, *arguments, **options)


class Client:
    """A connection to the queue. Safe to share between threads; close it, or use it in a `with`."""

    def __init__(self, broker_url: str, *, queue: str = DEFAULT_QUEUE) -> None:
        """Take the address of the broker; SettingsError where it is none. Connects when first needed."""
        self._queue = queue
        self._address = _address(broker_url)
        self._app = _Producer(broker_url)
        self._app.conf.update(
            task_ignore_result=True,
            task_serializer="json",
            broker_transport_options=producer_options(broker_url),
            broker_connection_timeout=5,
        )

    def submit(  # noqa: PLR0913 - the fields of a submission, all by name
        self,
        source: Source,
        *,
        policy: str | None = None,
        reference: str = "",
        id: str | None = None,  # noqa: A002 - the field's name on every face of the service
        sha256: str | None = None,
        context: dict[str, Any] | None = None,
        callback: Callback | None = None,
    ) -> str:
        """Enqueue one picture and return the submission's id.

        `id` is the idempotency key: submitting the same one again changes nothing. InvalidSubmissionError
        before anything is sent if a field is malformed; BrokerUnavailableError if the broker is away.
        """
        submission = Submission(
            id or new_submission_id(), source, policy, reference, sha256, context, callback
        )
        self._send(TASK, to_message(submission), [submission.id])
        return submission.id

    def submit_many(self, submissions: Sequence[Submission]) -> list[str]:
        """Enqueue up to 64 pictures in one message and return their ids; no source may be `InlineBytes`.

        Each is decided on its own. Raises as `submit` does; sending the same submissions again is safe.
        """
        ids = [submission.id for submission in submissions]
        self._send(TASK_MANY, to_many_message(submissions), ids)
        return ids

    def ping(self) -> None:
        """Raise BrokerUnavailableError unless the broker answers within a few seconds."""
        try:
            with self._app.connection_for_write() as connection:
                connection.ensure_connection(max_retries=1, interval_start=0, timeout=5)
        except (OperationalError, AMQPError, OSError) as error:
            raise self._unavailable(error) from None

    def close(self) -> None:
        """Close every connection."""
        self._app.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, task: str, message: dict[str, Any], ids: list[str]) -> None:
        try:
            self._app.send_task(
                task,
                kwargs=message,
                # What Celery's monitors and logs show of a message: nothing that may be signed.
                kwargsrepr=", ".join(ids),
                queue=self._queue,
                retry_policy=_RETRY_POLICY,
                # RabbitMQ alone heeds these two: a message that no queue takes is an error, not lost, and
                # a broker that is full is not waited for.
                mandatory=True,
                confirm_timeout=CONFIRM_SECONDS,
            )
        except (OperationalError, AMQPError) as error:
            raise self._unavailable(error) from None

    def _unavailable(self, error: Exception) -> BrokerUnavailableError:
        return BrokerUnavailableError(
            f"the broker at {self._address} does not answer: {error}",
            hint="see that it runs and that MODERATION_BROKER_URL is right",
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
