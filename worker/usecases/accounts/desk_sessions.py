"""The sessions of people who are signed in at the review desk: find, note use, end."""

from dataclasses import dataclass

from worker.store.accounts import desk_sessions
from worker.store.accounts.desk_sessions import DeskSession
from worker.store.engine.database import Database


@dataclass(frozen=True, slots=True)
class DeskSessions:
    """The sessions that `SignIn` starts."""

    database: Database

    def find(self, token: str) -> DeskSession | None:
        """Return the session of a token; None if it has expired or its account is disabled."""
        with self.database.reading() as session:
            return desk_sessions.find(session, token)

    def note_use(self, session_id: str) -> None:
        """Record that a session is used now; writes only if that was not recorded within the last minute."""
        with self.database.reading() as session:
            is_stale = desk_sessions.seen_is_stale(session, session_id)
        if is_stale:
            with self.database.transaction() as session:
                desk_sessions.note_use(session, session_id)

    def end(self, session_id: str) -> None:
        """End a session."""
        with self.database.transaction() as session:
            desk_sessions.end(session, session_id)
