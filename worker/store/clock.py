"""The database's time: what several machines agree on when one waits for another."""

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from worker.store.column_types import UtcDateTime, utc_now


def database_now(session: Session) -> datetime:
    """Return the time by the database's clock; on SQLite by this machine's, which all its users share."""
    if session.get_bind().dialect.name != "postgresql":
        return utc_now()
    return session.execute(select(func.clock_timestamp(type_=UtcDateTime))).scalar_one()
