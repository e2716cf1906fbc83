"""What takes submissions in and tells what was decided: no model, no policy in force, no decoder."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from worker.background import repeated
from worker.client import Client
from worker.images.uploads import Uploads
from worker.metrics import Recent, WebMetrics
from worker.settings import Settings
from worker.store import schema
from worker.store.database import Database
from worker.usecases.accept_submissions import AcceptSubmissions
from worker.usecases.authenticate_key import AuthenticateKey
from worker.usecases.find_submission import FindSubmission
from worker.usecases.publish_submissions import PublishSubmissions
from worker.usecases.sweep_uploads import SweepUploads
from worker.wiring.parts import allowed_sources, limits_of, open_database
from worker.wiring.review_desk import ReviewDesk, review_desk
from worker.wiring.seeing import recent_backlog
from worker.wiring.telling import allowed_callbacks

_SWEEP_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Intake:
    """What takes submissions in and tells what was decided, without a model."""

    database: Database
    broker: Client
    metrics: WebMetrics
    uploads: Uploads
    authenticate: AuthenticateKey
    accept: AcceptSubmissions
    find: FindSubmission
    desk: ReviewDesk


@contextmanager
def open_intake(settings: Settings) -> Iterator[Intake]:
    """Assemble the intake.

    SchemaError or DatabaseUnavailableError where the tables are not there; the broker may be away.
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
        stack.enter_context(repeated(sweep, _SWEEP_SECONDS, name="deleting uploads that were not accepted"))
        metrics.follow_backlog(recent_backlog(database))
        metrics.follow_queue(Recent(broker.depth, "the queue"))
        publish = PublishSubmissions(broker)
        yield Intake(
            database=database,
            broker=broker,
            metrics=metrics,
            uploads=uploads,
            authenticate=AuthenticateKey(database),
            accept=AcceptSubmissions(database, settings.policies, publish, metrics, callbacks, sources),
            find=FindSubmission(database),
            desk=review_desk(settings, database),
        )
