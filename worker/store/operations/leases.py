"""Leases of periodic tasks: only one process at a time runs each."""

from datetime import timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from worker.store.engine import inserting
from worker.store.engine.clock import moment
from worker.store.engine.tables import LeaseRow


def is_held(session: Session, task: str) -> bool:
    """Whether a process holds the lease of `task`; reads only, so that no writer waits."""
    return (
        session.scalar(select(LeaseRow.task).where(LeaseRow.task == task, LeaseRow.until > moment()))
        is not None
    )


def acquire(session: Session, task: str, duration: timedelta) -> bool:
    """Acquire the lease of `task` for `duration` from now; return False if another process holds it."""
    inserting.keep(session, LeaseRow, [{"task": task}])
    acquired = (
        update(LeaseRow)
        .where(LeaseRow.task == task, LeaseRow.until <= moment())
        .values(until=moment(duration))
        .returning(LeaseRow.task)
        .execution_options(synchronize_session=False)
    )
    return session.scalar(acquired) is not None
