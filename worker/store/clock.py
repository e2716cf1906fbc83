"""The database's time, in which leases are measured: clocks of workers differ, theirs is one.

SQLite has no clock but the machine's, which all its users share.
"""

from datetime import datetime, timedelta
from typing import Final, cast

from sqlalchemy import ColumnElement, Interval, func, literal, select, type_coerce
from sqlalchemy.orm import Session

from worker.store.column_types import UtcDateTime, utc_now

_TIME: Final = UtcDateTime()


def later(session: Session, delay: timedelta = timedelta()) -> ColumnElement[datetime]:
    """Return the moment `delay` from now, to stand in a statement."""
    if session.get_bind().dialect.name == "postgresql":
        # Not now(), which is when the transaction began: it may have waited for others since.
        return type_coerce(func.clock_timestamp() + literal(delay, Interval()), _TIME)
    return literal(utc_now() + delay, _TIME)


def database_now(session: Session) -> datetime:
    """Return the time."""
    return cast("datetime", session.scalar(select(later(session))))
