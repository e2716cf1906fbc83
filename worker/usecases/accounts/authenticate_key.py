"""Authenticates an API key; a wrong, an unknown and a revoked key are indistinguishable."""

from dataclasses import dataclass

from worker.domain.accounts.api_key import ApiKey, split_token
from worker.store.accounts import api_keys
from worker.store.engine.clock import database_now
from worker.store.engine.database import Database


@dataclass(frozen=True, slots=True)
class AuthenticateKey:
    """Check the text of a key, and record its use."""

    database: Database

    def __call__(self, token: str) -> ApiKey | None:
        """Return the key, or None if it is not valid."""
        parts = split_token(token)
        if parts is None:
            return None
        key_id, secret = parts
        with self.database.reading() as session:
            found, now = api_keys.find(session, key_id), database_now(session)
        if found is None or not found.key.opens_with(secret) or found.revoked_at is not None:
            return None
        if found.use_is_stale(now):
            with self.database.transaction() as session:
                api_keys.note_use(session, key_id)
        return found.key
