"""Counts what policies flag and how their labels score, and adds it to the database every minute.

The worker has every score when it records a decision, so it counts there, in memory: nothing reads
`label_scores`, and recording decisions takes no further statement. A minute takes four, however many pictures
were judged. A worker that dies loses the counts of a minute, which changes no share.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Final

from worker.concurrency.periodic import run_periodically
from worker.domain.moderation.decision import Decision
from worker.domain.operations.label_activity import Activity
from worker.domain.policies.policy import Policy
from worker.errors import ModerationError
from worker.store.engine.database import Database
from worker.store.operations import label_activity

log = logging.getLogger(__name__)

_EVERY_SECONDS: Final = 60.0


@dataclass(slots=True)
class CountLabels:
    """Count recorded decisions by policy version; thread-safe."""

    database: Database
    _counted: dict[tuple[str, str], Activity] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def __call__(self, policy: Policy, decision: Decision) -> None:
        """Count a decision that was recorded; one on a picture that was not judged does not count."""
        with self._lock:
            self._counted.setdefault((policy.name, policy.digest), Activity()).count(decision)

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Write the counts every minute while the context lasts, and the rest at its end."""
        try:
            with run_periodically(self.write, _EVERY_SECONDS, name="counting what policies flag"):
                yield
        finally:
            try:
                self.write()
            except ModerationError as error:
                log.warning("what policies flagged in the last minute is not counted: %s", error.message)
            except Exception:
                # The worker must still finish its shutdown.
                log.exception("what policies flagged in the last minute is not counted")

    def write(self) -> None:
        """Add the counts to the database; after an error they are kept for the next time."""
        with self._lock:
            taken, self._counted = self._counted, {}
        try:
            self._add({version: one for version, one in taken.items() if one.uploads})
        except BaseException:
            self._take_back(taken)
            raise

    def _add(self, counted: dict[tuple[str, str], Activity]) -> None:
        if counted:
            with self.database.transaction() as session:
                label_activity.add(session, counted)

    def _take_back(self, taken: dict[tuple[str, str], Activity]) -> None:
        with self._lock:
            for version, activity in taken.items():
                self._counted.setdefault(version, Activity()).add(activity)
