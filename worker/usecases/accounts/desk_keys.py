"""Returns the secret keys of a deployment, which the first process to need one creates."""

from dataclasses import dataclass

from worker.store.accounts import desk_keys
from worker.store.engine.database import Database


@dataclass(frozen=True, slots=True)
class DeskKeys:
    """The keys that all processes of a deployment share."""

    database: Database

    def pictures(self) -> bytes:
        """Return the key that signs the desk's picture URLs."""
        with self.database.transaction() as session:
            return desk_keys.picture_key(session)

    def frames(self) -> bytes:
        """Return the key that seeds the sampling of frames from long animations."""
        with self.database.transaction() as session:
            return desk_keys.frame_key(session)
