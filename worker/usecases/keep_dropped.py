"""Counts and keeps the messages that a worker drops, without ever making the worker wait for the database."""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from worker.background import repeated
from worker.domain.dropped_message import DroppedMessage, DropReason
from worker.errors import ModerationError
from worker.store import dropped_messages
from worker.store.database import Database

log = logging.getLogger(__name__)

_EVERY_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class KeepDropped:
    """Note dropped messages in memory, and write them down every second."""

    database: Database
    count: Callable[[str], object]
    _waiting: deque[DroppedMessage] = field(default_factory=lambda: deque(maxlen=dropped_messages.MOST_KEPT))

    def note(self, reason: DropReason, problem: str, raw: bytes | str | Mapping[str, object]) -> None:
        """Log and count a message that is dropped, and keep it soon."""
        message = DroppedMessage.of(reason, problem, raw)
        log.error("a message is dropped (%s): %s", reason.value, message.problem)
        self.count(reason.value)
        self._waiting.append(message)

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Write down what is noted while the context lasts, the rest at its end."""
        try:
            with repeated(self._write, _EVERY_SECONDS, name="keeping dropped messages"):
                yield
        finally:
            try:
                self._write()
            except ModerationError as error:
                log.warning("dropped messages are not kept: %s", error.message)

    def _write(self) -> None:
        noted = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if not noted:
            return
        try:
            with self.database.transaction() as session:
                dropped_messages.keep(session, noted)
        except ModerationError:
            self._waiting.extendleft(reversed(noted))
            raise
