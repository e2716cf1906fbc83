"""Assembles the periodic tasks: republish submissions, deliver events, tidy up."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta

from moderation_client import Client
from moderation_client.callback import callback_record

from worker.observability.metrics import Metrics
from worker.settings import Settings
from worker.store.engine.database import Database
from worker.store.upgrade import schema
from worker.usecases.operations.tidy_up import TidyUp
from worker.usecases.submissions.publish_pending import PublishPending
from worker.usecases.submissions.publish_submissions import PublishSubmissions
from worker.usecases.submissions.republish_due import RepublishDue
from worker.usecases.submissions.republish_lost import RepublishLost
from worker.usecases.submissions.republish_set_aside import RepublishSetAside
from worker.wiring.components import open_database
from worker.wiring.notifications import default_callback, open_deliverer


@contextmanager
def open_schedule(settings: Settings, metrics: Metrics) -> Iterator[Database]:
    """Run the periodic tasks while the context lasts; safe in any number of processes at once.

    They have separate connections, so that they never wait for the judging. SchemaError or
    DatabaseUnavailableError if the tables are missing; the broker may be unavailable.
    """
    with ExitStack() as stack:
        broker = stack.enter_context(Client(settings.broker_url, queue=settings.queue))
        database = open_database(settings)
        stack.callback(database.dispose)
        schema.check(database)
        default = callback_record(default_callback(settings))
        publish = PublishPending(database, PublishSubmissions(broker), metrics, default)
        deliver = stack.enter_context(open_deliverer(settings, database))
        tidy_up = TidyUp(database, timedelta(days=settings.outbox_keep_days))
        for periodic in (
            RepublishDue(database, publish),
            RepublishLost(database, broker, publish),
            RepublishSetAside(database, broker),
            deliver,
            tidy_up,
        ):
            stack.enter_context(periodic.running())
        yield database
