"""Assembles what operators see: the metrics and health of a process, and the survey of a deployment."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from moderation_client import Client
from prometheus_client import make_wsgi_app

from worker.domain.operations.backlog import Backlog
from worker.domain.operations.score_drift import LOOKBACK, PolicyReport, report_scores
from worker.observability.metrics import Metrics, Recent
from worker.observability.probes import serving, verdict_of
from worker.observability.progress import Progress
from worker.settings import Settings
from worker.store.engine.clock import database_now
from worker.store.engine.database import Database
from worker.store.operations import label_activity, overview
from worker.usecases.operations.check_progress import CheckProgress
from worker.usecases.operations.check_readiness import CheckReadiness
from worker.usecases.operations.leave_when_stuck import LeaveWhenStuck
from worker.usecases.operations.survey_deployment import SurveyDeployment
from worker.wiring.components import open_database

#: Hours and days are compared, and every process reads what a thousand labels did.
_SCORES_SECONDS: Final = 300.0


@contextmanager
def serving_probes(
    settings: Settings, metrics: Metrics, progress: Progress, readiness: CheckReadiness
) -> Iterator[None]:
    """Serve metrics and health checks from before the model is loaded until the process ends."""
    depth = Recent(readiness.broker.depth, "the queue")
    metrics.follow_backlog(recent_backlog(readiness.database))
    metrics.follow_labels(recent_scores(readiness.database))
    metrics.follow_queue(depth)
    metrics.follow_progress(progress)
    health = CheckProgress(progress, depth, settings.stuck_seconds)
    routes = {
        "/metrics": make_wsgi_app(metrics.registry),
        "/healthz": verdict_of(health),
        "/readyz": verdict_of(readiness),
    }
    with serving(settings.metrics_host, settings.metrics_port, routes), ExitStack() as stack:
        if settings.metrics_port or settings.exit_when_stuck:
            stack.enter_context(health.checking())
        if settings.exit_when_stuck:
            leave = LeaveWhenStuck(health, readiness, settings.stuck_seconds)
            stack.enter_context(leave.checking())
        yield


@contextmanager
def serving_metrics(settings: Settings, metrics: Metrics) -> Iterator[None]:
    """Serve the metrics of a process that judges nothing; SettingsError if the port is taken."""
    routes = {"/metrics": make_wsgi_app(metrics.registry), "/healthz": verdict_of(lambda: (True, {}))}
    with serving(settings.metrics_host, settings.metrics_port, routes):
        yield


def recent_backlog(database: Database) -> Recent[Backlog]:
    """Return a reader of the backlog that queries the database at most every few seconds."""

    def read() -> Backlog:
        with database.reading() as session:
            return overview.backlog(session)

    return Recent(read, "the backlog")


def recent_scores(database: Database) -> Recent[list[PolicyReport]]:
    """Return a reader of what policies flag, which queries the database at most every few minutes."""

    def read() -> list[PolicyReport]:
        with database.reading() as session:
            now = database_now(session)
            return report_scores(label_activity.since(session, now - LOOKBACK), now)

    return Recent(read, "what policies flag", keep_seconds=_SCORES_SECONDS)


@contextmanager
def survey_deployment(settings: Settings) -> Iterator[SurveyDeployment]:
    """Yield the use case that surveys broker and database."""
    database = open_database(settings)
    try:
        with Client(settings.broker_url, queue=settings.queue) as broker:
            yield SurveyDeployment(database, broker)
    finally:
        database.dispose()
