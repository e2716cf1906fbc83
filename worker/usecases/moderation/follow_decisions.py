"""Follows which submissions are decided, while a worker decides them."""

from collections.abc import Sequence
from dataclasses import dataclass

from worker.store.decisions import decisions
from worker.store.decisions.decisions import BriefDecision, RecordedDecision
from worker.store.engine.database import Database


@dataclass(frozen=True, slots=True)
class FollowDecisions:
    """Read decisions soon after they are made; each call is one transaction."""

    database: Database

    def newest(self) -> int:
        """Return the id of the newest decision; 0 if there is none."""
        with self.database.reading() as session:
            return decisions.newest_id(session)

    def after(self, decision_id: int) -> list[BriefDecision]:
        """Return what was decided after this decision, oldest first."""
        with self.database.reading() as session:
            return decisions.decided_after(session, decision_id)

    def of(self, submission_ids: Sequence[str]) -> list[RecordedDecision]:
        """Return the decisions on these submissions, oldest first."""
        with self.database.reading() as session:
            return decisions.of_submissions(session, submission_ids)
