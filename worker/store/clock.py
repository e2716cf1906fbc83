"""The database's time: what every lease is measured by, however far the clocks of the workers are apart."""

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from worker.store.column_types import UtcDateTime, utc_now


def database_now(session: Session) -> datetime:
    """Return the time by the database's clock, in UTC; SQLite's is that of this machine."""
    if session.get_bind().dialect.name != "postgresql":
        return utc_now()
    # Not now(), which is when the transaction began: it may have waited for a lock since.
    return session.execute(select(func.clock_timestamp(type_=UtcDateTime()))).scalar_one()
