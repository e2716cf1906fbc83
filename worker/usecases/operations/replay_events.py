"""Replays events: they are sent again with a fresh retry schedule."""

from collections.abc import Sequence
from dataclasses import dataclass

from worker.errors import UsageError
from worker.store.engine.database import Database
from worker.store.notifications import deliveries


@dataclass(frozen=True, slots=True)
class ReplayEvents:
    """Make events pending again; workers send them within seconds."""

    database: Database

    def __call__(self, event_ids: Sequence[str]) -> int:
        """Replay these events, all or none, and return their number; UsageError if one does not exist."""
        with self.database.transaction() as session:
            for event_id in event_ids:
                if not deliveries.replay(session, event_id):
                    raise UsageError(
                        f"there is no event {event_id!r}; nothing is replayed",
                        hint="moderate outbox list shows them",
                    )
        return len(event_ids)

    def given_up(self) -> int:
        """Replay all events that were given up, and return their number."""
        with self.database.transaction() as session:
            return deliveries.replay_given_up(session)
