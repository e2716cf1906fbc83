"""Deletes rows of one table in batches, so that no transaction is long."""

from sqlalchemy import ColumnElement, TextClause, delete, exists, inspect, select, tuple_
from sqlalchemy.orm import Session

from worker.store.engine.tables import Row


def is_any(session: Session, *which: ColumnElement[bool] | TextClause) -> bool:
    """Whether there is a row to delete; only reads, so that no writer waits."""
    return bool(session.scalar(select(exists().where(*which))))


def delete_some(
    session: Session, table: type[Row], *which: ColumnElement[bool] | TextClause, limit: int
) -> int:
    """Delete at most `limit` rows and return how many; skips rows that another transaction has locked."""
    key = inspect(table).primary_key
    chosen = select(*key).where(*which).limit(limit).with_for_update(skip_locked=True)
    # Two statements: with the selection as a subquery, a planner may read the whole table to find its rows.
    found = [tuple(row) for row in session.execute(chosen)]
    if found:
        selected = tuple_(*key).in_(found)
        session.execute(delete(table).where(selected).execution_options(synchronize_session=False))
    return len(found)
