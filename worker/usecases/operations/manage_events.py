"""Manages the events that notify the platform: lists them, and replays them with a fresh retry schedule."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from worker.errors import UsageError
from worker.store.engine.database import Database
from worker.store.notifications import deliveries, outbox
from worker.store.notifications.outbox import EventState, Lag, OutboxEvent


@dataclass(frozen=True, slots=True)
class NewestEvents:
    """The newest events, and the state of the whole outbox."""

    events: Sequence[OutboxEvent]
    #: The number of all events in each state, without empty states; counts stop at `counting.MOST`.
    counts: Mapping[EventState, int]
    lag: Lag


@dataclass(frozen=True, slots=True)
class ManageEvents:
    """The events; workers send those that are replayed within seconds."""

    database: Database

    def newest(self, *, state: EventState | None, submission_id: str | None, limit: int) -> NewestEvents:
        """Return at most `limit` events, in a state or of a submission if given, newest first."""
        with self.database.reading() as session:
            found = outbox.newest(session, state=state, submission_id=submission_id, limit=limit)
            return NewestEvents(found, outbox.count_by_state(session), outbox.lag(session))

    def replay(self, event_ids: Sequence[str]) -> int:
        """Replay these events, all or none, and return their number; UsageError if one does not exist."""
        with self.database.transaction() as session:
            for event_id in event_ids:
                if not deliveries.replay(session, event_id):
                    raise UsageError(
                        f"there is no event {event_id!r}; nothing is replayed",
                        hint="moderate outbox list shows them",
                    )
        return len(event_ids)

    def replay_given_up(self) -> int:
        """Replay all events that were given up, and return their number."""
        with self.database.transaction() as session:
            return deliveries.replay_given_up(session)
