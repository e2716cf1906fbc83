"""Runs the migrations on the connection that `worker.store.upgrade.schema` passes in."""

from alembic import context
from alembic.util import CommandError

from worker.store.engine.tables import Row

connection = context.config.attributes.get("connection")
if connection is None:
    raise CommandError("run `moderate db upgrade`: alembic alone does not know the database")

# One transaction around all migrations; the code that opened the connection begins and commits it.
context.configure(connection=connection, target_metadata=Row.metadata)
context.run_migrations()
