"""Reports the policies in force in this process to the database, for operators and for restarts."""

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

#: A live process reports at least this often.
HEARTBEAT_SECONDS: Final = 30.0
#: How soon a change is reported, and a failed report retried.
LOOK_SECONDS: Final = 1.0
#: A process that died without withdrawing its report is deleted after this.
FORGOTTEN_AFTER: Final = timedelta(days=1)


def process_name() -> str:
    """Return a name that is unique to this process, also in the future: host:process-id:start."""
    return f"{socket.gethostname()}:{os.getpid()}:{utc_now():%Y%m%dT%H%M%SZ}"


@dataclass(frozen=True, slots=True)
class ReportPolicies:
    """Write the states of a process's policies, and the versions newly in force."""

    database: Database
    process: str

    def __call__(self, states: Sequence[PolicyState], newly_in_force: Collection[LivePolicy]) -> None:
        """Report; after UnavailableError nothing is written."""
        with self.database.transaction() as session:
            for live in newly_in_force:
                policy_versions.in_force(session, live.policy, live.text)
            policy_states.replace(session, self.process, states)
            policy_states.forget_silent(session, longer_than=FORGOTTEN_AFTER)

    def withdraw(self) -> None:
        """Delete the report of this process at its end."""
        with self.database.transaction() as session:
            policy_states.withdraw(session, self.process)


class PolicyReporter:
    """Reports every change, and periodically as a heartbeat, in its thread.

    An unavailable database stops neither the reporter nor the watching of files nor any job.
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
        """Report if something changed or the heartbeat is due; log failures."""
        states, in_force = self._policies.states, self._policies.in_force
        if (states, in_force) == (self._states, self._in_force) and not self._is_due():
            return
        # Only new versions: one that is in force for long here may be older than the newest elsewhere.
        new = [live for live in in_force if live not in self._in_force]
        if self._succeeds(lambda: self._report(states, new)):
            self._states, self._in_force, self._reported_at = states, in_force, self._clock()

    @contextmanager
    def reporting(self) -> Iterator[None]:
        """Report periodically while the context lasts; at its end, withdraw the report."""
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
        except Exception as error:  # noqa: BLE001 - jobs must go on, and a retry may succeed
            if not self._failing:
                log.warning("the policies in force could not be reported, retrying: %s", error)
            self._failing = True
            return False
        self._failing = False
        return True
