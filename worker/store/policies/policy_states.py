"""Policy states: each worker process's latest report about its policies."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from worker.domain.policies.policy_state import PolicyState
from worker.store.engine.clock import database_now
from worker.store.engine.tables import PolicyStateRow

#: Three missed heartbeats: the process is dead or disconnected, and no longer counts.
SILENT_AFTER: Final = timedelta(seconds=90)

#: The version of a policy in force in a process: its digest, None for none, and whether it is a shadow.
Version = tuple[str | None, bool]
#: The policies that processes disagree about: by policy and version, the processes that have it.
Disagreements = dict[str, dict[Version, list[str]]]


@dataclass(frozen=True, slots=True)
class ReportedState:
    """A policy's state in a process, and when the process last reported it; UTC."""

    process: str
    state: PolicyState
    seen_at: datetime

    @property
    def version(self) -> Version:
        """The version in force in the process."""
        return self.state.digest, self.state.shadow

    def is_silent(self, now: datetime) -> bool:
        """Whether the process has not reported for longer than SILENT_AFTER."""
        return now - self.seen_at > SILENT_AFTER


def replace(session: Session, process: str, states: Sequence[PolicyState]) -> None:
    """Replace all states of a process, which is alive now."""
    withdraw(session, process)
    now = database_now(session)
    rows = [{"process": process, "seen_at": now, **asdict(state)} for state in states]
    if rows:
        session.execute(insert(PolicyStateRow), rows)


def withdraw(session: Session, process: str) -> None:
    """Delete the states of a process that has ended."""
    session.execute(delete(PolicyStateRow).where(PolicyStateRow.process == process))


def forget_silent(session: Session, *, longer_than: timedelta) -> None:
    """Delete the states of processes that have been silent for longer: they died without withdrawing."""
    before = database_now(session) - longer_than
    session.execute(delete(PolicyStateRow).where(PolicyStateRow.seen_at < before))


def all_states(session: Session) -> list[ReportedState]:
    """Return the states of all processes, by policy and process."""
    query = select(PolicyStateRow).order_by(PolicyStateRow.policy, PolicyStateRow.process)
    return [_reported(row) for row in session.scalars(query)]


def of_policy(session: Session, policy: str) -> list[PolicyState]:
    """Return a policy's states in the processes that are not silent."""
    query = select(PolicyStateRow).where(
        PolicyStateRow.policy == policy, PolicyStateRow.seen_at >= database_now(session) - SILENT_AFTER
    )
    return [_reported(row).state for row in session.scalars(query)]


def disagreements(awake: Sequence[ReportedState]) -> Disagreements:
    """Return the policies of which not all processes that are not silent have the same version."""
    processes = {report.process for report in awake}
    policies: Disagreements = defaultdict(lambda: defaultdict(list))
    for report in awake:
        policies[report.state.policy][report.version].append(report.process)
    for holders in policies.values():
        if missing := processes.difference(*holders.values()):
            holders[None, False] += sorted(missing)
    return {policy: holders for policy, holders in policies.items() if len(holders) > 1}


def _reported(row: PolicyStateRow) -> ReportedState:
    state = PolicyState(
        policy=row.policy,
        digest=row.digest,
        shadow=row.shadow,
        in_force_since=row.in_force_since,
        refused_at=row.refused_at,
        refusal=row.refusal,
    )
    return ReportedState(row.process, state, row.seen_at)
