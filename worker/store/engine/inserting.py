"""INSERT ... ON CONFLICT: SQLAlchemy spells it once for each database, this is the one place that chooses."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from worker.store.engine.tables import Row


def insert_into(session: Session, table: type[Row], **values: Any) -> sqlite.Insert | postgresql.Insert:
    """Return the insertion of one row, to be completed by what happens on a conflict.

    Without values, or with those that all rows share, it is one of many rows, which are given when it is
    executed.
    """
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    return insert(table).values(**values) if values else insert(table)


def keep(session: Session, table: type[Row], rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows that all have the same columns, but those whose key is there."""
    if rows:
        # Beside the session, which would read back what it inserts.
        session.connection().execute(insert_into(session, table).on_conflict_do_nothing(), rows)
