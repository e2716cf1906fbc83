"""INSERT ... ON CONFLICT: SQLAlchemy spells it once for each database, this is the one place that chooses."""

from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from worker.store.tables import Row


def insert_into(session: Session, table: type[Row], **values: Any) -> sqlite.Insert | postgresql.Insert:
    """Return the insertion of one row, to be completed by what happens on a conflict."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    return insert(table).values(**values)


def keep(session: Session, table: type[Row], **values: Any) -> None:
    """Insert a row, unless one with its key is there."""
    session.execute(insert_into(session, table, **values).on_conflict_do_nothing())
