"""Opens the deployment's review queue for one command."""

from collections.abc import Iterator
from contextlib import contextmanager

from worker.settings import Settings
from worker.store.upgrade import schema
from worker.wiring.components import open_database
from worker.wiring.review_desk import ReviewDesk, review_desk


@contextmanager
def desk() -> Iterator[ReviewDesk]:
    """Yield the desk; SchemaError or DatabaseUnavailableError if the database is not usable."""
    settings = Settings.read()
    database = open_database(settings)
    try:
        schema.check(database)
        yield review_desk(settings, database)
    finally:
        database.dispose()
