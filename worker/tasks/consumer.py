"""Celery's consumer, which no malformed message drives out of one worker after another."""

import logging
from collections.abc import Callable
from typing import Any, Final

from celery.worker.consumer import Consumer
from kombu import Message
from kombu.exceptions import ContentDisallowed, DecodeError

log = logging.getLogger(__name__)

#: What an unreadable body raises, and what Celery raises over headers of a form that it does not expect.
_NOT_A_TASK: Final = (DecodeError, ContentDisallowed, TypeError, ValueError, LookupError, AttributeError)


class CarefulConsumer(Consumer):
    """Drops what Celery stumbles over; unacknowledged, it would be delivered to one worker after another."""

    def create_task_handler(self, *arguments: Any, **options: Any) -> Callable[[Message], None]:
        """Return what takes a message in hand."""
        take: Callable[[Message], None] = super().create_task_handler(*arguments, **options)

        def take_carefully(message: Message) -> None:
            try:
                _require_form(message)
                take(message)
            except _NOT_A_TASK as error:
                # Without the traceback, which is Celery's own.
                log.error("a message that is no task's is dropped: %r", error)  # noqa: TRY400
                message.reject()

        return take_carefully


def _require_form(message: Message) -> None:
    """Raise TypeError unless the body is that of a call: found out in a thread, it would never be let go."""
    match message.decode():
        case [list(), dict(), dict() | None]:
            return
    raise TypeError("its body is not [arguments, keywords, options]")
