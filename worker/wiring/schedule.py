"""What is done again and again beside the judging."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta

from worker.client import Client
from worker.metrics import Metrics
from worker.settings import Settings
from worker.store import schema
from worker.store.database import Database
from worker.usecases.publish_submissions import PublishSubmissions
from worker.usecases.republish_due import RepublishDue
from worker.usecases.tidy_up import TidyUp
from worker.wiring.parts import open_database
from worker.wiring.telling import open_deliverer


@contextmanager
def open_schedule(settings: Settings, metrics: Metrics) -> Iterator[Database]:
    """Do what is repeated beside the work while the context lasts; any number of processes may at once.

    With connections of its own, since nothing here may wait for the work. SchemaError or
    DatabaseUnavailableError where the tables are not there; the broker may be away.
    """
    with ExitStack() as stack:
        broker = stack.enter_context(Client(settings.broker_url, queue=settings.queue))
        database = open_database(settings)
        stack.callback(database.dispose)
        schema.check(database)
        republish = RepublishDue(database, PublishSubmissions(broker), metrics)
        deliver = stack.enter_context(open_deliverer(settings, database))
        tidy_up = TidyUp(database, timedelta(days=settings.outbox_keep_days))
        for repeated in (republish.running(), deliver.running(), tidy_up.running()):
            stack.enter_context(repeated)
        yield database
