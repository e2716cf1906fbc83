"""Policy states: what each worker process said last about its policies."""

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

#: Three heartbeats missed: the process is dead or cut off, and no longer counts.
SILENT_AFTER: Final = timedelta(seconds=90)

#: What a process has in force of a policy: the version's digest, None for none, and whether as a shadow.
Version = tuple[str | None, bool]
#: The policies that processes disagree about: who has which version.
Disagreements = dict[str, dict[Version, list[str]]]


@dataclass(frozen=True, slots=True)
class ReportedState:
    """A policy's state in a process, and when the process was last heard of; UTC."""

    process: str
    state: PolicyState
    seen_at: datetime

    @property
    def version(self) -> Version:
        """What the process has in force."""
        return self.state.digest, self.state.shadow

    def is_silent(self, now: datetime) -> bool:
        """Whether the process has not been heard of for too long."""
        return now - self.seen_at > SILENT_AFTER


def replace(session: Session, process: str, states: Sequence[PolicyState]) -> None:
    """Let `states` be all that is known of a process, which is alive now."""
    withdraw(session, process)
    now = database_now(session)
    rows = [{"process": process, "seen_at": now, **asdict(state)} for state in states]
    if rows:
        session.execute(insert(PolicyStateRow), rows)


def withdraw(session: Session, process: str) -> None:
    """Remove a process that is gone."""
    session.execute(delete(PolicyStateRow).where(PolicyStateRow.process == process))


def forget_silent(session: Session, *, longer_than: timedelta) -> None:
    """Remove the processes that have been silent for longer: they ended without a word."""
    before = database_now(session) - longer_than
    session.execute(delete(PolicyStateRow).where(PolicyStateRow.seen_at < before))


def all_states(session: Session) -> list[ReportedState]:
    """Return what every process says, by policy and process."""
    query = select(PolicyStateRow).order_by(PolicyStateRow.policy, PolicyStateRow.process)
    return [_reported(row) for row in session.scalars(query)]


def of_policy(session: Session, policy: str) -> list[PolicyState]:
    """Return what the processes that were heard of lately say about a policy."""
    query = select(PolicyStateRow).where(
        PolicyStateRow.policy == policy, PolicyStateRow.seen_at >= database_now(session) - SILENT_AFTER
    )
    return [_reported(row).state for row in session.scalars(query)]


def disagreements(awake: Sequence[ReportedState]) -> Disagreements:
    """Return the policies of which not every process that is awake has the same version."""
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
