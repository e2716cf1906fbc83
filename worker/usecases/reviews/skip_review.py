"""Skips a claimed review: it moves to the end of the queue for this person only."""

from collections.abc import Sequence
from dataclasses import dataclass

from worker.domain.accounts.reviewer import Reviewer
from worker.domain.reviews.review import ClaimToken
from worker.domain.reviews.verdict import check_reason
from worker.store.engine.clock import database_now
from worker.store.engine.database import Database
from worker.store.reviews import audit_log, review_claims


@dataclass(frozen=True, slots=True)
class SkipReview:
    """Skip claimed reviews."""

    database: Database

    def __call__(self, reviewer: Reviewer, tokens: Sequence[ClaimToken], reason: str) -> None:
        """Skip these reviews, all or none.

        ReviewConflictError if a claim has expired; InvalidVerdictError without a reason.
        """
        check_reason("skipped", reason)
        with self.database.transaction() as session:
            for review in review_claims.hold(session, reviewer.name, tokens, database_now(session)):
                review_claims.release(session, [review.id])
                review_claims.skip(session, review.id, reviewer.name, reason)
                audit_log.note(
                    session,
                    reviewer.name,
                    audit_log.SKIPPED,
                    review_id=review.id,
                    submission_id=review.decision.submission_id,
                    reason=reason,
                )
