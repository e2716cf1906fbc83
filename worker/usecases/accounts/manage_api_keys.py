"""Manages the keys of the HTTP API: create, list, revoke."""

from dataclasses import dataclass

from worker.domain.accounts.api_key import NewApiKey, Scope, new_api_key
from worker.errors import UsageError
from worker.store.accounts import api_keys
from worker.store.accounts.api_keys import RecordedKey
from worker.store.engine.database import Database


@dataclass(frozen=True, slots=True)
class ManageApiKeys:
    """The keys; each change is one transaction."""

    database: Database

    def create(self, name: str, scopes: frozenset[Scope]) -> NewApiKey:
        """Create a key and return it with its token, of which only a hash is stored."""
        new = new_api_key(name, scopes)
        with self.database.transaction() as session:
            api_keys.add(session, new)
        return new

    def everyone(self) -> list[RecordedKey]:
        """Return all keys, revoked ones too."""
        with self.database.reading() as session:
            return api_keys.everyone(session)

    def has_usable(self) -> bool:
        """Whether there is a key that is not revoked."""
        return any(one.revoked_at is None for one in self.everyone())

    def revoke(self, key_id: str) -> None:
        """Revoke a key; UsageError if it does not exist."""
        with self.database.transaction() as session:
            if not api_keys.revoke(session, key_id):
                raise UsageError(f"there is no key {key_id!r}", hint="moderate api-key list shows all keys")
