"""Counts and stores dropped messages; the worker never waits for the database."""

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
#: Messages in a transaction; if it fails, about twice that many inserts find the rows that do not fit.
_CHUNK: Final = 64


@dataclass(frozen=True, slots=True)
class KeepDropped:
    """Buffer dropped messages in memory, and write them to the database every second."""

    database: Database
    count: Callable[[str], object]
    _waiting: deque[DroppedMessage] = field(default_factory=lambda: deque(maxlen=dropped_messages.MOST_KEPT))

    def note(self, reason: DropReason, problem: str, raw: object) -> None:
        """Log, count and buffer a dropped message."""
        message = DroppedMessage.of(reason, problem, raw)
        log.error("a message is dropped (%s): %s", reason.value, message.problem)
        self.count(reason.value)
        self._waiting.append(message)

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Write buffered messages periodically while the context lasts, and the rest at its end."""
        try:
            with run_periodically(self._write, _EVERY_SECONDS, name="keeping dropped messages"):
                yield
        finally:
            try:
                self._write()
            except ModerationError as error:
                log.warning("dropped messages could not be stored: %s", error.message)
            except Exception:
                # The worker must still finish its shutdown.
                log.exception("dropped messages could not be stored")

    def _write(self) -> None:
        """Write the buffered messages; after an error the unwritten ones stay buffered."""
        while batch := self._take():
            outcomes = in_halves(self._keep, batch, "keeping dropped messages")
            failures = [one for one in outcomes if isinstance(one, BaseException)]
            if len(failures) == len(batch) or any(isinstance(one, UnavailableError) for one in failures):
                left = [
                    one for one, how in zip(batch, outcomes, strict=True) if isinstance(how, BaseException)
                ]
                self._waiting.extendleft(reversed(left))
                raise failures[0]
            # The database accepted others, so these never fit; the log has them.
            for failure in failures:
                log.error("a dropped message cannot be stored: %s", in_a_line(failure))

    def _take(self) -> list[DroppedMessage]:
        return [self._waiting.popleft() for _ in range(min(_CHUNK, len(self._waiting)))]

    def _keep(self, messages: Sequence[DroppedMessage]) -> list[None]:
        with self.database.transaction() as session:
            dropped_messages.keep(session, messages)
        return [None] * len(messages)
