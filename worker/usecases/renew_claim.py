"""Lets a person keep a review while they look at it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from worker.domain.review import ClaimToken
from worker.domain.reviewer import Reviewer
from worker.store.database import Database


@dataclass(frozen=True, slots=True)
class RenewClaim:
    """Begin the lease of claims anew."""

    database: Database
    lease: timedelta

    def __call__(self, reviewer: Reviewer, tokens: Sequence[ClaimToken]) -> datetime:
        """Return until when they are held now; ReviewConflictError where one is held no more."""
        raise NotImplementedError
