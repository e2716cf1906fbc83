"""Extends Celery's consumer: accept messages of clients in other languages, and store dropped ones."""

import logging
import time
from collections.abc import Callable
from typing import Any, Final

from celery.worker.consumer import Consumer
from kombu import Message
from kombu.exceptions import ContentDisallowed, DecodeError
from redis.exceptions import ResponseError

from worker.domain.submissions.dropped_message import DropReason
from worker.tasks.message_forms import to_protocol_2

log = logging.getLogger(__name__)

#: Raised by unreadable bodies, and by Celery for headers in an unexpected form.
_NOT_A_TASK: Final = (DecodeError, TypeError, ValueError, LookupError, AttributeError, RecursionError)
#: Redis returns errors at once: wait before the next attempt.
_PAUSE_SECONDS: Final = 2.0


class CarefulConsumer(Consumer):
    """Drops messages that Celery fails on; unacknowledged, they would be redelivered for ever."""

    def create_task_handler(self, *arguments: Any, **options: Any) -> Callable[[Message], None]:
        """Return the handler of incoming messages."""
        handle: Callable[[Message], None] = super().create_task_handler(*arguments, **options)

        def handle_or_drop(message: Message) -> None:
            raw = message.body
            try:
                to_protocol_2(message)
                handle(message)
            except ContentDisallowed as error:
                self._drop(DropReason.CONTENT_TYPE, message, str(error), raw)
            except _NOT_A_TASK as error:
                self._drop(DropReason.NOT_A_TASK, message, f"{type(error).__name__}: {error}", raw)

        return handle_or_drop

    def on_unknown_message(self, _body: Any, message: Message) -> None:
        """Drop a message that names no task."""
        self._drop(DropReason.NOT_A_TASK, message, "it names no task")

    def on_unknown_task(self, _body: Any, message: Message, _exc: Exception) -> None:
        """Drop a message for a task that does not exist."""
        name = str(message.headers.get("task"))[:80]
        self._drop(DropReason.UNKNOWN_TASK, message, f"there is no task {name!r}")

    def on_invalid_task(self, _body: Any, message: Message, exc: Exception) -> None:
        """Drop a message that Celery rejects as a task."""
        self._drop(DropReason.NOT_A_TASK, message, f"{type(exc).__name__}: {exc}")

    def on_decode_error(self, message: Message, exc: Exception) -> None:
        """Drop a message that cannot be decoded."""
        self._drop(DropReason.NOT_A_TASK, message, f"{type(exc).__name__}: {exc}")

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        """Wait if Redis returned an error."""
        super().on_connection_error_before_connected(exc)
        _pause_after(exc)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Release the connection, and wait if Redis returned an error."""
        super().on_connection_error_after_connected(exc)
        _pause_after(exc)

    def _drop(
        self, reason: DropReason, message: Message, problem: str, raw: bytes | str | None = None
    ) -> None:
        app: Any = self.app
        try:
            app.drop(reason, problem, message.body if raw is None else raw)
        finally:
            # Even if it could not be stored: unacknowledged, it would be redelivered for ever.
            message.reject_log_error(log, self.connection_errors)  # type: ignore[attr-defined]  # no stub


def _pause_after(error: Exception) -> None:
    """Wait after an error reply, so that reconnecting does not become a storm."""
    if isinstance(error, ResponseError):
        log.warning("waiting: the broker returned an error: %s", error)
        time.sleep(_PAUSE_SECONDS)
