"""Celery's consumer, except that it accepts what clients in other languages send, and keeps what it drops."""

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

#: What an unreadable body raises, and what Celery raises over headers of a form that it does not expect.
_NOT_A_TASK: Final = (DecodeError, TypeError, ValueError, LookupError, AttributeError, RecursionError)
#: A Redis that answers with an error answers at once: wait before it is asked again.
_PAUSE_SECONDS: Final = 2.0


class CarefulConsumer(Consumer):
    """Drops what Celery stumbles over; unacknowledged, it would be delivered to one worker after another."""

    def create_task_handler(self, *arguments: Any, **options: Any) -> Callable[[Message], None]:
        """Return what takes a message."""
        take: Callable[[Message], None] = super().create_task_handler(*arguments, **options)

        def take_carefully(message: Message) -> None:
            raw = message.body
            try:
                to_protocol_2(message)
                take(message)
            except ContentDisallowed as error:
                self._drop(DropReason.CONTENT_TYPE, message, str(error), raw)
            except _NOT_A_TASK as error:
                self._drop(DropReason.NOT_A_TASK, message, f"{type(error).__name__}: {error}", raw)

        return take_carefully

    def on_unknown_message(self, _body: Any, message: Message) -> None:
        """Drop what names no task."""
        self._drop(DropReason.NOT_A_TASK, message, "it names no task")

    def on_unknown_task(self, _body: Any, message: Message, _exc: Exception) -> None:
        """Drop what names a task that we have not."""
        name = str(message.headers.get("task"))[:80]
        self._drop(DropReason.UNKNOWN_TASK, message, f"there is no task {name!r}")

    def on_invalid_task(self, _body: Any, message: Message, exc: Exception) -> None:
        """Drop what Celery finds no call of a task."""
        self._drop(DropReason.NOT_A_TASK, message, f"{type(exc).__name__}: {exc}")

    def on_decode_error(self, message: Message, exc: Exception) -> None:
        """Drop what cannot be decoded."""
        self._drop(DropReason.NOT_A_TASK, message, f"{type(exc).__name__}: {exc}")

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        """Wait if Redis refused us."""
        super().on_connection_error_before_connected(exc)
        _wait_out(exc)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Let go of the connection, and wait if Redis refused us."""
        super().on_connection_error_after_connected(exc)
        _wait_out(exc)

    def _drop(
        self, reason: DropReason, message: Message, problem: str, raw: bytes | str | None = None
    ) -> None:
        app: Any = self.app
        try:
            app.drop(reason, problem, message.body if raw is None else raw)
        finally:
            # Also if it cannot be kept: unacknowledged, it would come back for ever.
            message.reject_log_error(log, self.connection_errors)  # type: ignore[attr-defined]  # no stub


def _wait_out(error: Exception) -> None:
    """Wait a little after an error reply, so that reconnecting is no storm."""
    if isinstance(error, ResponseError):
        log.warning("waiting: the broker refuses: %s", error)
        time.sleep(_PAUSE_SECONDS)
