"""Runs the migrations on the connection that `worker.store.upgrade.schema` hands over."""

from alembic import context
from alembic.util import CommandError

from worker.store.engine.tables import Row

connection = context.config.attributes.get("connection")
if connection is None:
    raise CommandError("run `moderate db upgrade`: alembic alone does not know the database")

# One transaction around all migrations, begun and committed by whoever opened the connection.
context.configure(connection=connection, target_metadata=Row.metadata)
context.run_migrations()
