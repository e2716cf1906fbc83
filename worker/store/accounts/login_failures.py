"""Failed logins at the review desk: rate limits by name and by address."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.orm import Session

from worker.store.engine.clock import database_now, moment
from worker.store.engine.deleting import delete_some, is_any
from worker.store.engine.tables import LoginFailureRow

#: Older failures do not count.
WINDOW: Final = timedelta(minutes=15)
#: Limits for one name from one address, all names from one address, and one name from all addresses. An
#: attacker who tries names must not lock their owners out, so the last is the largest.
MAX_OF_NAME_AND_ADDRESS: Final = 5
MAX_OF_ADDRESS: Final = 30
MAX_OF_NAME: Final = 50
_NAME_CHARACTERS: Final = 80


def note(session: Session, name: str, address: str) -> None:
    """Record that a login failed."""
    session.add(LoginFailureRow(name=_short(name), address=address, failed_at=moment()))


def too_many(session: Session, name: str, address: str, *, is_known: bool = False) -> bool:
    """Whether too many logins failed to allow another attempt.

    `is_known`: `address` is a browser from which this person signed in before. Failures elsewhere do not
    count for it, so that an attacker cannot lock its owner out.
    """
    of_name, of_address = LoginFailureRow.name == _short(name), LoginFailureRow.address == address
    since = database_now(session) - WINDOW
    if _count(session, since, of_name, of_address) >= MAX_OF_NAME_AND_ADDRESS:
        return True
    return not is_known and (
        _count(session, since, of_address) >= MAX_OF_ADDRESS or _count(session, since, of_name) >= MAX_OF_NAME
    )


def forget(session: Session, name: str, address: str) -> None:
    """Delete the failures of a name from an address, after a login that succeeded."""
    session.execute(
        delete(LoginFailureRow).where(
            LoginFailureRow.name == _short(name), LoginFailureRow.address == address
        )
    )


def is_any_old(session: Session) -> bool:
    """Whether there are failures that no longer count."""
    return is_any(session, LoginFailureRow.failed_at <= database_now(session) - WINDOW)


def forget_old(session: Session, *, limit: int) -> int:
    """Delete at most `limit` failures that no longer count; return how many."""
    old = LoginFailureRow.failed_at <= database_now(session) - WINDOW
    return delete_some(session, LoginFailureRow, old, limit=limit)


def _count(session: Session, since: datetime, *of: ColumnElement[bool]) -> int:
    query = select(func.count()).select_from(LoginFailureRow)
    return session.scalar(query.where(*of, LoginFailureRow.failed_at > since)) or 0


def _short(name: str) -> str:
    return name[:_NAME_CHARACTERS]
