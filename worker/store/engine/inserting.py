"""INSERT ... ON CONFLICT for both dialects: SQLAlchemy has a class for each; only this file chooses."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from worker.store.engine.tables import Row


def insert_into(session: Session, table: type[Row], **values: Any) -> sqlite.Insert | postgresql.Insert:
    """Return an INSERT of one row, to which the caller adds ON CONFLICT.

    Without `values`, or with values that all rows share, it inserts many rows: pass them when you execute it.
    """
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    return insert(table).values(**values) if values else insert(table)


def keep(session: Session, table: type[Row], rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows, which all have the same columns; skip those whose key exists."""
    if rows:
        # Bypass the session, which would read back what it inserts.
        session.connection().execute(insert_into(session, table).on_conflict_do_nothing(), rows)
