"""Renews the claim on a review while a person works on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from worker.domain.accounts.reviewer import Reviewer
from worker.domain.reviews.review import ClaimToken
from worker.store.engine.clock import database_now
from worker.store.engine.database import Database
from worker.store.reviews import review_claims


@dataclass(frozen=True, slots=True)
class RenewClaim:
    """Renew the leases of claims."""

    database: Database
    lease: timedelta

    def __call__(self, reviewer: Reviewer, tokens: Sequence[ClaimToken]) -> datetime:
        """Renew and return when the leases expire; ReviewConflictError if one has expired."""
        with self.database.transaction() as session:
            now = database_now(session)
            until = now + self.lease
            review_claims.hold(session, reviewer.name, tokens, now)
            review_claims.renew(session, [token.review_id for token in tokens], until)
        return until
