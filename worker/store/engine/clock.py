"""The database's clock. Processes compare times only by it, since the clocks of hosts differ."""

from datetime import datetime, timedelta
from typing import Any, Final, cast

from sqlalchemy import Float, bindparam, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from worker.store.engine.column_types import UtcDateTime
from worker.store.engine.database import Database

#: As SQLAlchemy writes times into SQLite's columns, to the millisecond.
_SQLITE_FORMAT: Final = "'%Y-%m-%d %H:%M:%f000'"


class moment(FunctionElement[datetime]):  # noqa: N801 - used in statements, like a function of SQL
    """The time at which a statement is executed, plus `delay`, which may be negative.

    PostgreSQL's now() will not do: it is the time when the transaction began, which may have waited since.
    """

    type = UtcDateTime()
    inherit_cache = True

    def __init__(self, delay: timedelta = timedelta()) -> None:
        super().__init__(bindparam(None, delay.total_seconds(), Float()))


@compiles(moment, "postgresql")
def _on_postgresql(element: moment, compiler: SQLCompiler, **options: Any) -> str:
    seconds = compiler.process(element.clauses, **options)
    return f"clock_timestamp() + make_interval(secs => {seconds})"


@compiles(moment, "sqlite")
def _on_sqlite(element: moment, compiler: SQLCompiler, **options: Any) -> str:
    seconds = compiler.process(element.clauses, **options)
    # The driver doubles no percent sign: its parameters are question marks.
    return f"strftime({_SQLITE_FORMAT}, 'now', {seconds} || ' seconds')"


def now_at(database: Database) -> datetime:
    """Return a database's time, outside any other transaction."""
    with database.reading() as session:
        return database_now(session)


def database_now(session: Session) -> datetime:
    """Return the database's time. Unlike `moment` it can be a parameter, so that PostgreSQL uses an index."""
    return cast("datetime", session.scalar(select(moment())))
