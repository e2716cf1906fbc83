"""Counts and keeps the messages that a worker drops, without ever making the worker wait for the database."""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from worker.concurrency.batching import in_a_line, in_halves
from worker.concurrency.periodic import run_periodically
from worker.domain.submissions.dropped_message import DroppedMessage, DropReason
from worker.errors import ModerationError, UnavailableError
from worker.store.engine.database import Database
from worker.store.submissions import dropped_messages

log = logging.getLogger(__name__)

_EVERY_SECONDS: Final = 1.0
#: Messages in a transaction: if it fails, about twice as many are tried to find out which of them do not fit.
_CHUNK: Final = 64


@dataclass(frozen=True, slots=True)
class KeepDropped:
    """Note dropped messages in memory, and write them down every second."""

    database: Database
    count: Callable[[str], object]
    _waiting: deque[DroppedMessage] = field(default_factory=lambda: deque(maxlen=dropped_messages.MOST_KEPT))

    def note(self, reason: DropReason, problem: str, raw: object) -> None:
        """Log and count a message that is dropped, and keep it soon."""
        message = DroppedMessage.of(reason, problem, raw)
        log.error("a message is dropped (%s): %s", reason.value, message.problem)
        self.count(reason.value)
        self._waiting.append(message)

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Write down what is noted while the context lasts, the rest at its end."""
        try:
            with run_periodically(self._write, _EVERY_SECONDS, name="keeping dropped messages"):
                yield
        finally:
            try:
                self._write()
            except ModerationError as error:
                log.warning("dropped messages are not kept: %s", error.message)
            except Exception:
                # A worker that shuts down has more to finish.
                log.exception("dropped messages are not kept")

    def _write(self) -> None:
        """Write down what is noted; what raises leaves the rest noted."""
        while noted := self._take():
            outcomes = in_halves(self._keep, noted, "keeping dropped messages")
            failures = [one for one in outcomes if isinstance(one, BaseException)]
            if len(failures) == len(noted) or any(isinstance(one, UnavailableError) for one in failures):
                left = [
                    one for one, how in zip(noted, outcomes, strict=True) if isinstance(how, BaseException)
                ]
                self._waiting.extendleft(reversed(left))
                raise failures[0]
            # The database takes others, so these will never fit; they are in the log.
            for failure in failures:
                log.error("a dropped message cannot be kept: %s", in_a_line(failure))

    def _take(self) -> list[DroppedMessage]:
        return [self._waiting.popleft() for _ in range(min(_CHUNK, len(self._waiting)))]

    def _keep(self, messages: Sequence[DroppedMessage]) -> list[None]:
        with self.database.transaction() as session:
            dropped_messages.keep(session, messages)
        return [None] * len(messages)
