"""Celery's Redis transport, out of which no text that is not even a message drives a worker."""

import logging
from queue import Empty
from typing import Any, Final

from kombu.transport import redis

log = logging.getLogger(__name__)

#: What kombu raises over text that is not JSON, and over JSON that is not a message.
_NOT_A_MESSAGE: Final = (ValueError, TypeError, LookupError, AttributeError)


class CarefulChannel(redis.Channel):
    """Drops what kombu cannot read; Redis has forgotten it by then, and the worker would leave for it."""

    def _brpop_read(self, **options: Any) -> bool:
        try:
            return bool(super()._brpop_read(**options))  # type: ignore[misc]  # the stubs lack it
        except _NOT_A_MESSAGE as error:
            # Without the traceback, which is kombu's own.
            log.error("what is no message is dropped: %r", error)  # noqa: TRY400
            # As where nothing came in time: kombu asks anew.
            raise Empty from None


class CarefulTransport(redis.Transport):
    """Redis, read by careful channels."""

    Channel = CarefulChannel
