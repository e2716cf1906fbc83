"""Releases a claimed review, so that anyone can claim it."""

from collections.abc import Sequence
from dataclasses import dataclass

from worker.domain.accounts.reviewer import Reviewer
from worker.domain.reviews.review import ClaimToken
from worker.store.engine.database import Database
from worker.store.reviews import audit_log, review_claims


@dataclass(frozen=True, slots=True)
class ReleaseReview:
    """Release claimed reviews."""

    database: Database

    def __call__(self, reviewer: Reviewer, tokens: Sequence[ClaimToken]) -> None:
        """Release these reviews; those that this person no longer holds stay unchanged.

        UnknownReviewError if there is no such review.
        """
        with self.database.transaction() as session:
            for review in review_claims.lock(session, tokens):
                if review.claimed_by != reviewer.name or review.token not in tokens:
                    continue
                review_claims.release(session, [review.id])
                audit_log.note(
                    session,
                    reviewer.name,
                    audit_log.RELEASED,
                    review_id=review.id,
                    submission_id=review.decision.submission_id,
                )
