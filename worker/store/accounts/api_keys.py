"""API keys of the HTTP API, found by their public part."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from worker.domain.accounts.api_key import ApiKey, NewApiKey, Scope
from worker.store.engine.clock import database_now
from worker.store.engine.tables import ApiKeyRow

#: How stale `last_used_at` may be: one write for every request would cost too much.
USE_INTERVAL: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class RecordedKey:
    """A key as the database holds it: its use and its revocation."""

    key: ApiKey
    created_at: datetime
    #: To the minute; None if it was never used.
    last_used_at: datetime | None
    revoked_at: datetime | None

    def use_is_stale(self, now: datetime) -> bool:
        """Whether `last_used_at` needs an update."""
        return self.last_used_at is None or now - self.last_used_at >= USE_INTERVAL


def add(session: Session, new: NewApiKey) -> None:
    """Store a new key."""
    key = new.key
    scopes = sorted(scope.value for scope in key.scopes)
    session.add(ApiKeyRow(id=key.id, name=key.name, scopes=scopes, secret_sha256=key.secret_sha256))


def find(session: Session, key_id: str) -> RecordedKey | None:
    """Return the key with this id, revoked or not, if it exists."""
    row = session.get(ApiKeyRow, key_id)
    return _recorded(row) if row else None


def everyone(session: Session) -> list[RecordedKey]:
    """Return all keys, oldest first."""
    return [_recorded(row) for row in session.scalars(select(ApiKeyRow).order_by(ApiKeyRow.created_at))]


def note_use(session: Session, key_id: str) -> None:
    """Record that a key is used now, unless that was recorded within the last minute."""
    now = database_now(session)
    stale = or_(ApiKeyRow.last_used_at.is_(None), ApiKeyRow.last_used_at <= now - USE_INTERVAL)
    session.execute(update(ApiKeyRow).where(ApiKeyRow.id == key_id, stale).values(last_used_at=now))


def revoke(session: Session, key_id: str) -> bool:
    """Revoke a key; return False if there is no such key."""
    row = session.get(ApiKeyRow, key_id)
    if row is None:
        return False
    row.revoked_at = row.revoked_at or database_now(session)
    return True


def _recorded(row: ApiKeyRow) -> RecordedKey:
    key = ApiKey(row.id, row.name, frozenset(map(Scope, row.scopes)), row.secret_sha256)
    return RecordedKey(key, row.created_at, row.last_used_at, row.revoked_at)
