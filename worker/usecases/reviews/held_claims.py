"""What a reviewer does with claims they hold, other than deciding: list, renew, release, skip, escalate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from worker.domain.accounts.reviewer import Reviewer
from worker.domain.reviews.review import ClaimToken, ReviewKind
from worker.domain.reviews.verdict import check_reason
from worker.store.engine.clock import database_now
from worker.store.engine.database import Database
from worker.store.reviews import audit_log, review_claims, reviews
from worker.store.reviews.reviews import Review


@dataclass(frozen=True, slots=True)
class HeldReviews:
    """The reviews that a person has claimed."""

    #: The most urgent first.
    reviews: Sequence[Review]
    #: The database's time.
    now: datetime

    @property
    def by_id(self) -> Mapping[int, Review]:
        """The reviews by their ids."""
        return {one.id: one for one in self.reviews}


@dataclass(frozen=True, slots=True)
class HeldClaims:
    """The claims of reviewers; each action is one transaction."""

    database: Database
    lease: timedelta

    def of(self, reviewer: str) -> HeldReviews:
        """Return the reviews that the person of this name has claimed."""
        with self.database.reading() as session:
            now = database_now(session)
            return HeldReviews(reviews.held_by(session, reviewer, now), now)

    def renew(self, reviewer: Reviewer, tokens: Sequence[ClaimToken]) -> datetime:
        """Renew the leases and return when they expire; ReviewConflictError if one has expired."""
        with self.database.transaction() as session:
            now = database_now(session)
            until = now + self.lease
            review_claims.hold(session, reviewer.name, tokens, now)
            review_claims.renew(session, [token.review_id for token in tokens], until)
        return until

    def release(self, reviewer: Reviewer, tokens: Sequence[ClaimToken]) -> None:
        """Release these reviews, so that anyone can claim them; those no longer held stay unchanged.

        UnknownReviewError if there is no such review.
        """
        with self.database.transaction() as session:
            for review in review_claims.lock(session, tokens):
                if review.claimed_by == reviewer.name and review.token in tokens:
                    review_claims.release(session, [review.id])
                    _note(session, reviewer, audit_log.RELEASED, review)

    def skip(self, reviewer: Reviewer, tokens: Sequence[ClaimToken], reason: str) -> None:
        """Move these reviews, all or none, to the end of the queue for this person only.

        ReviewConflictError if a claim has expired; InvalidVerdictError without a reason.
        """
        check_reason("skipped", reason)
        with self.database.transaction() as session:
            for review in review_claims.hold(session, reviewer.name, tokens, database_now(session)):
                review_claims.release(session, [review.id])
                review_claims.skip(session, review.id, reviewer.name, reason)
                _note(session, reviewer, audit_log.SKIPPED, review, reason=reason)

    def escalate(self, reviewer: Reviewer, tokens: Sequence[ClaimToken], reason: str) -> None:
        """Escalate these reviews, all or none, so that only leads can claim them.

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
                _note(session, reviewer, audit_log.ESCALATED, review, reason=reason)


def _note(session: Session, reviewer: Reviewer, action: str, review: Review, **details: str) -> None:
    audit_log.note(
        session,
        reviewer.name,
        action,
        review_id=review.id,
        submission_id=review.decision.submission_id,
        **details,
    )
