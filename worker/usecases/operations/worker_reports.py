"""Reads what workers report to the database: the policies in force, and the messages they dropped."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from worker.domain.submissions.dropped_message import DroppedMessage
from worker.store.engine.clock import database_now
from worker.store.engine.database import Database
from worker.store.policies import policy_states
from worker.store.policies.policy_states import ReportedState
from worker.store.submissions import dropped_messages


@dataclass(frozen=True, slots=True)
class PolicyReports:
    """What every process reported about its policies."""

    #: By policy and process.
    states: Sequence[ReportedState]
    #: The database's time.
    now: datetime


@dataclass(frozen=True, slots=True)
class WorkerReports:
    """The reports of all workers of a deployment."""

    database: Database

    def policies(self) -> PolicyReports:
        """Return the latest report of every process about its policies."""
        with self.database.reading() as session:
            return PolicyReports(policy_states.all_states(session), database_now(session))

    def dropped(self, limit: int) -> list[DroppedMessage]:
        """Return the newest dropped messages, at most `limit`."""
        with self.database.reading() as session:
            return dropped_messages.newest(session, limit)
