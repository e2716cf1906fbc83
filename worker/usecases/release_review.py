"""Gives a claimed review back to the queue, as if nobody had taken it."""

from collections.abc import Sequence
from dataclasses import dataclass

from worker.domain.review import ClaimToken
from worker.domain.reviewer import Reviewer
from worker.store.database import Database


@dataclass(frozen=True, slots=True)
class ReleaseReview:
    """Release claims."""

    database: Database

    def __call__(self, reviewer: Reviewer, tokens: Sequence[ClaimToken]) -> None:
        """Release these; what is held no more by this person stays as it is."""
        raise NotImplementedError
