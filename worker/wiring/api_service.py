"""Assembles the API service: accept submissions and return decisions, without model, policies or decoder."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from moderation_client import Client

from worker.concurrency.periodic import run_periodically
from worker.images.sources.uploads import Uploads
from worker.observability.metrics import Recent, WebMetrics
from worker.settings import Settings
from worker.store.engine.database import Database
from worker.store.upgrade import schema
from worker.usecases.accounts.authenticate_key import AuthenticateKey
from worker.usecases.moderation.list_decisions import ListDecisions
from worker.usecases.operations.sweep_uploads import SweepUploads
from worker.usecases.submissions.accept_submissions import AcceptSubmissions
from worker.usecases.submissions.find_submission import FindSubmission
from worker.usecases.submissions.publish_submissions import PublishSubmissions
from worker.wiring.components import allowed_sources, limits_of, open_database
from worker.wiring.notifications import allowed_callbacks
from worker.wiring.observability import recent_backlog, recent_scores
from worker.wiring.review_desk import ReviewDesk, review_desk

_SWEEP_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class ApiService:
    """The use cases of the HTTP API."""

    database: Database
    broker: Client
    metrics: WebMetrics
    uploads: Uploads
    authenticate: AuthenticateKey
    accept: AcceptSubmissions
    find: FindSubmission
    decisions: ListDecisions
    desk: ReviewDesk


@contextmanager
def open_api_service(settings: Settings) -> Iterator[ApiService]:
    """Assemble the API service.

    SchemaError or DatabaseUnavailableError if the tables are missing; the broker may be unavailable.
    """
    metrics = WebMetrics()
    callbacks, sources = allowed_callbacks(settings), allowed_sources(settings)
    with ExitStack() as stack:
        broker = stack.enter_context(Client(settings.broker_url, queue=settings.queue))
        database = open_database(settings)
        stack.callback(database.dispose)
        schema.check(database)
        uploads = Uploads(settings.media_root, limits_of(settings))
        sweep = SweepUploads(database, uploads)
        stack.enter_context(
            run_periodically(sweep, _SWEEP_SECONDS, name="deleting uploads that were not accepted")
        )
        metrics.follow_backlog(recent_backlog(database))
        metrics.follow_labels(recent_scores(database))
        metrics.follow_queue(Recent(broker.depth, "the queue"))
        publish = PublishSubmissions(broker)
        yield ApiService(
            database=database,
            broker=broker,
            metrics=metrics,
            uploads=uploads,
            authenticate=AuthenticateKey(database),
            accept=AcceptSubmissions(database, settings.policies, publish, metrics, callbacks, sources),
            find=FindSubmission(database),
            decisions=ListDecisions(database),
            desk=review_desk(settings, database),
        )
