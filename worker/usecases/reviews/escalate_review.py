"""Hands a claimed review on to a lead, with the reason why."""

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
        """Let only leads claim these; ReviewConflictError where one is held no more, and then none is.

        InvalidVerdictError where there is no reason.
        """
        check_reason("escalated", reason)
        with self.database.transaction() as session:
            for review in review_claims.hold(session, reviewer.name, tokens, database_now(session)):
                if review.kind is ReviewKind.GOLDEN:
                    # It has one person to ask, who could not decide it: that is an answer of a kind.
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
