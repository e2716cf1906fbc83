"""Sessions at the review desk, found by the hash of a token that only the browser holds."""

import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, delete, or_, select, update
from sqlalchemy.orm import Session

from worker.store.accounts.reviewers import Account, account_of
from worker.store.engine.clock import database_now, moment
from worker.store.engine.deleting import delete_some, is_any
from worker.store.engine.tables import DeskSessionRow, ReviewerRow

#: A session expires when it was idle for this long, or is older than LONGEST.
IDLE: Final = timedelta(hours=1)
LONGEST: Final = timedelta(hours=12)
#: How stale `seen_at` may be: one write for every request would cost too much.
_SEEN_INTERVAL: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class DeskSession:
    """A valid session, and its account."""

    #: SHA-256 of the token, in hexadecimal.
    id: str
    account: Account = field(repr=False)
    #: Whether the single sign-on proxy authenticates it, request by request, instead of a password.
    by_proxy: bool


def token_id(token: str) -> str:
    """Return the hash by which a token is stored; 32 random bytes need neither salt nor stretching."""
    return hashlib.sha256(token.encode()).hexdigest()


def begin(session: Session, name: str, *, by_proxy: bool) -> str:
    """Begin a session and return its token, which is not stored."""
    token, now = secrets.token_urlsafe(32), database_now(session)
    session.add(
        DeskSessionRow(id=token_id(token), reviewer=name, by_proxy=by_proxy, created_at=now, seen_at=now)
    )
    return token


def find(session: Session, token: str) -> DeskSession | None:
    """Return the session of a token; None if it has expired or its account is disabled."""
    query = (
        select(DeskSessionRow, ReviewerRow)
        .join(ReviewerRow, ReviewerRow.name == DeskSessionRow.reviewer)
        .where(
            DeskSessionRow.id == token_id(token),
            ~_is_expired(moment(-IDLE), moment(-LONGEST)),
            ReviewerRow.disabled_at.is_(None),
        )
    )
    found = session.execute(query).one_or_none()
    return DeskSession(found[0].id, account_of(found[1]), found[0].by_proxy) if found else None


def note_use(session: Session, session_id: str) -> None:
    """Record that a session is used now, unless that was recorded within the last minute."""
    now = database_now(session)
    session.execute(
        update(DeskSessionRow)
        .where(DeskSessionRow.id == session_id, DeskSessionRow.seen_at <= now - _SEEN_INTERVAL)
        .values(seen_at=now)
        .execution_options(synchronize_session=False)
    )


def seen_is_stale(session: Session, session_id: str) -> bool:
    """Whether `seen_at` needs an update."""
    stale = DeskSessionRow.seen_at <= moment(-_SEEN_INTERVAL)
    return bool(session.scalar(select(stale).where(DeskSessionRow.id == session_id)))


def end(session: Session, session_id: str) -> None:
    """End a session."""
    session.execute(delete(DeskSessionRow).where(DeskSessionRow.id == session_id))


def end_all_of(session: Session, name: str) -> None:
    """End every session of a person."""
    session.execute(delete(DeskSessionRow).where(DeskSessionRow.reviewer == name))


def is_any_ended(session: Session) -> bool:
    """Whether there are expired sessions to delete."""
    now = database_now(session)
    return is_any(session, _is_expired(now - IDLE, now - LONGEST))


def forget_ended(session: Session, *, limit: int) -> int:
    """Delete at most `limit` expired sessions; return how many."""
    now = database_now(session)
    return delete_some(session, DeskSessionRow, _is_expired(now - IDLE, now - LONGEST), limit=limit)


def _is_expired(seen_by: datetime | moment, created_by: datetime | moment) -> ColumnElement[bool]:
    return or_(DeskSessionRow.seen_at <= seen_by, DeskSessionRow.created_at <= created_by)
