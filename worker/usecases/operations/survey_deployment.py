"""Surveys a whole deployment: the state of its broker and its database at one moment."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from moderation_client import Client
from moderation_client.queue_depth import QueueDepth

from worker.domain.operations.backlog import Backlog
from worker.domain.operations.score_drift import LOOKBACK, PolicyReport, report_scores
from worker.errors import ModerationError, SchemaError, UnavailableError
from worker.store.engine.column_types import utc_now
from worker.store.engine.database import Database
from worker.store.operations import label_activity, overview
from worker.store.operations.overview import Happenings
from worker.store.policies import policy_states
from worker.store.policies.policy_states import ReportedState
from worker.store.submissions import dropped_messages
from worker.store.submissions.dropped_messages import DroppedSummary
from worker.store.upgrade import schema

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Records:
    """State that is stored in the database."""

    #: Revision of the schema.
    revision: str
    backlog: Backlog
    happenings: Happenings
    #: The latest report of every process about its policies, by policy and process.
    reports: list[ReportedState]
    #: Why each resource that submissions wait for is unavailable.
    why_waiting: Mapping[str, str] = field(default_factory=dict)
    #: Messages that no worker could process.
    dropped: DroppedSummary = field(default_factory=DroppedSummary)
    #: What each policy's labels flag and score, compared with the days before.
    scores: Sequence[PolicyReport] = ()

    @property
    def awake(self) -> list[ReportedState]:
        """The reports of the processes that reported recently."""
        return [report for report in self.reports if not report.is_silent(self.backlog.at)]


@dataclass(frozen=True, slots=True)
class Survey:
    """A deployment at one moment; the error of what is unavailable."""

    #: UTC.
    at: datetime
    depth: QueueDepth | ModerationError
    records: Records | ModerationError


@dataclass(frozen=True, slots=True)
class SurveyDeployment:
    """Query broker and database, each even if the other is unavailable."""

    database: Database
    broker: Client

    def __call__(self) -> Survey:
        """Return the current state."""
        return Survey(utc_now(), _or_problem(self.broker.depth), _or_problem(self._records))

    def _records(self) -> Records:
        schema.check(self.database)
        with self.database.reading() as session:
            backlog = overview.backlog(session)
            return Records(
                schema.revision(session),
                backlog,
                overview.happenings(session),
                policy_states.all_states(session),
                {resource: overview.why_waiting(session, resource) for resource in backlog.waiting_for},
                dropped_messages.summary(session),
                report_scores(label_activity.since(session, backlog.at - LOOKBACK), backlog.at),
            )


def _or_problem(look: Callable[[], Found]) -> Found | ModerationError:
    try:
        return look()
    except (UnavailableError, SchemaError) as problem:
        return problem
