"""Tells the database what this process makes of its policies: for those who ask, and for restarts."""

import logging
import os
import socket
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from worker.concurrency.periodic import run_periodically
from worker.domain.policies.policy_state import PolicyState
from worker.policy_files.library import LivePolicy, PolicyLibrary
from worker.store.engine.column_types import utc_now
from worker.store.engine.database import Database
from worker.store.policies import policy_states, policy_versions

log = logging.getLogger(__name__)

#: A process that is alive says so at least this often.
HEARTBEAT_SECONDS: Final = 30.0
#: A change is reported this soon, and what failed is tried again.
LOOK_SECONDS: Final = 1.0
#: A process that ended without a word is forgotten after this.
FORGOTTEN_AFTER: Final = timedelta(days=1)


def process_name() -> str:
    """Return a name that no other process has, now or later: host:process-id:start."""
    return f"{socket.gethostname()}:{os.getpid()}:{utc_now():%Y%m%dT%H%M%SZ}"


@dataclass(frozen=True, slots=True)
class ReportPolicies:
    """Write the states of a process's policies, and the versions that are new in force."""

    database: Database
    process: str

    def __call__(self, states: Sequence[PolicyState], newly_in_force: Collection[LivePolicy]) -> None:
        """Report; UnavailableError where the database is away, and then nothing has been written."""
        with self.database.transaction() as session:
            for live in newly_in_force:
                policy_versions.in_force(session, live.policy, live.text)
            policy_states.replace(session, self.process, states)
            policy_states.forget_silent(session, longer_than=FORGOTTEN_AFTER)

    def withdraw(self) -> None:
        """Take back what this process reported, since it ends."""
        with self.database.transaction() as session:
            policy_states.withdraw(session, self.process)


class PolicyReporter:
    """Reports at every change and as a heartbeat, in a thread that nothing else waits for.

    A database that is away stops neither it nor the watching of the files, nor any job.
    """

    def __init__(
        self,
        report: ReportPolicies,
        policies: PolicyLibrary,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._report = report
        self._policies = policies
        self._clock = clock
        self._states: tuple[PolicyState, ...] = ()
        self._in_force: tuple[LivePolicy, ...] = ()
        self._reported_at: float | None = None
        self._failing = False

    def look(self) -> None:
        """Report if there is something new, or nothing was reported for long; a failure is only logged."""
        states, in_force = self._policies.states, self._policies.in_force
        if (states, in_force) == (self._states, self._in_force) and not self._is_due():
            return
        # Those alone: what is long in force here may be an earlier version than what is new elsewhere.
        new = [live for live in in_force if live not in self._in_force]
        if self._succeeds(lambda: self._report(states, new)):
            self._states, self._in_force, self._reported_at = states, in_force, self._clock()

    @contextmanager
    def reporting(self) -> Iterator[None]:
        """Report while the context lasts; at its end, take this process off the list."""
        try:
            with run_periodically(self.look, LOOK_SECONDS, name="reporting the policies in force"):
                yield
        finally:
            self._succeeds(self._report.withdraw)

    def _is_due(self) -> bool:
        return self._reported_at is None or self._clock() - self._reported_at >= HEARTBEAT_SECONDS

    def _succeeds(self, work: Callable[[], None]) -> bool:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - whatever it is, jobs must go on, and a later try may work
            if not self._failing:
                log.warning("the policies in force could not be reported, trying again: %s", error)
            self._failing = True
            return False
        self._failing = False
        return True
