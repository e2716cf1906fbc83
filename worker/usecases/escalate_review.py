"""Hands a claimed review on to a lead, with the reason why."""

from collections.abc import Sequence
from dataclasses import dataclass

from worker.domain.review import ClaimToken
from worker.domain.reviewer import Reviewer
from worker.store.database import Database


@dataclass(frozen=True, slots=True)
class EscalateReview:
    """Escalate claimed reviews."""

    database: Database

    def __call__(self, reviewer: Reviewer, tokens: Sequence[ClaimToken], reason: str) -> None:
        """Let only leads claim these; ReviewConflictError where one is held no more, and then none is."""
        raise NotImplementedError
