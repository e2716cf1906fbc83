"""Escalates a claimed review to a lead, with the reason."""

from collections.abc import Sequence
from dataclasses import dataclass

from worker.domain.accounts.reviewer import Reviewer
from worker.domain.reviews.review import ClaimToken, ReviewKind
from worker.domain.reviews.verdict import check_reason
from worker.store.engine.clock import database_now
from worker.store.engine.database import Database
from worker.store.reviews import audit_log, review_claims


@dataclass(frozen=True, slots=True)
class EscalateReview:
    """Escalate claimed reviews."""

    database: Database

    def __call__(self, reviewer: Reviewer, tokens: Sequence[ClaimToken], reason: str) -> None:
        """Escalate these reviews, so that only leads can claim them; all or none.

        ReviewConflictError if a claim has expired; InvalidVerdictError without a reason.
        """
        check_reason("escalated", reason)
        with self.database.transaction() as session:
            for review in review_claims.hold(session, reviewer.name, tokens, database_now(session)):
                if review.kind is ReviewKind.GOLDEN:
                    # It is asked of this person only; that they cannot decide it counts as an answer.
                    review_claims.release(session, [review.id], state="withdrawn")
                else:
                    review_claims.release(session, [review.id], for_lead=True, escalation=reason)
                audit_log.note(
                    session,
                    reviewer.name,
                    audit_log.ESCALATED,
                    review_id=review.id,
                    submission_id=review.decision.submission_id,
                    reason=reason,
                )
