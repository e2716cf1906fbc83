"""Makes a database raise the error of a corrupt index for some rows: an error that is not retried."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import text

from worker.store.engine.database import Database

_SQLITE = """
CREATE TRIGGER broken BEFORE {statement} ON {table} WHEN NEW.{condition}
BEGIN SELECT RAISE(ABORT, 'index is corrupted'); END
"""
_POSTGRESQL_FUNCTION = """
CREATE OR REPLACE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'index is corrupted' USING ERRCODE = 'XX002'; END $$
"""
_POSTGRESQL = """
CREATE TRIGGER broken BEFORE {statement} ON {table}
FOR EACH ROW WHEN (NEW.{condition}) EXECUTE FUNCTION broken()
"""


def break_rows(
    database: Database, condition: str, *, table: str = "submissions", statement: str = "INSERT"
) -> None:
    """Make every such statement fail for rows that satisfy `condition`, such as "id = 'upload-1'"."""
    is_sqlite = database.address.file is not None
    with database.transaction() as session:
        if not is_sqlite:
            session.execute(text(_POSTGRESQL_FUNCTION))
        trigger = _SQLITE if is_sqlite else _POSTGRESQL
        session.execute(text(trigger.format(statement=statement, table=table, condition=condition)))


def mend_rows(database: Database, *, table: str = "submissions") -> None:
    """Undo `break_rows`."""
    on = "" if database.address.file else f" ON {table}"
    with database.transaction() as session:
        session.execute(text(f"DROP TRIGGER broken{on}"))


@contextmanager
def broken_rows(database: Database, condition: str, *, table: str = "submissions") -> Iterator[None]:
    """Make inserts of rows that satisfy `condition` fail while the block runs."""
    break_rows(database, condition, table=table)
    try:
        yield
    finally:
        mend_rows(database, table=table)
