"""Records what a person answers, for one review or for several alike, with all that follows from it."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from worker.domain.in_force import DecidedBy, InForce
from worker.domain.policy import Policy
from worker.domain.review import ClaimToken, ReviewKind
from worker.domain.reviewer import Reviewer
from worker.domain.verdict import Answer, check_answer, is_looked_at_twice, second_look_share
from worker.store import audit_log, in_force, review_claims, reviews, verdict_events, verdicts
from worker.store.clock import database_now
from worker.store.database import Database
from worker.store.reviews import SETTLED, Review
from worker.store.verdicts import RecordedVerdict, Verdict
from worker.usecases.policy_behind import place_again, policy_behind


@dataclass(frozen=True, slots=True)
class Settled:
    """A review that is answered, and the verdict that answers it."""

    review_id: int
    verdict_id: int
    submission_id: str


@dataclass(frozen=True, slots=True)
class SettleReview:
    """Settle claimed reviews, all or none."""

    database: Database
    #: Whom to tell about submissions that name nobody: a callback's record; None tells nobody.
    callback: Mapping[str, Any] | None = None

    def __call__(
        self,
        reviewer: Reviewer,
        tokens: Sequence[ClaimToken],
        answer: Answer,
        shown: Mapping[str, Any] | None = None,
    ) -> list[Settled]:
        """Give one answer to all of these; `shown` is what the person saw, for the audit log.

        ReviewConflictError where somebody was first, or the claim is held no more; InvalidVerdictError where
        the answer is none that the policy allows; UnknownReviewError where there is no such review. The same
        answer sent again by the same person is answered as the first time.
        """
        with self.database.transaction() as session:
            if repeated := _sent_again(session, reviewer, tokens, answer):
                return repeated
            held = review_claims.hold(session, reviewer.name, tokens, database_now(session))
            look = secrets.token_hex(8) if len(held) > 1 else None
            in_force.lock(session, [review.decision.submission_id for review in held])
            return [self._settle(session, reviewer, review, answer, look, shown or {}) for review in held]

    def _settle(  # noqa: PLR0913, PLR0917 - private: an argument for each fact
        self,
        session: Session,
        reviewer: Reviewer,
        review: Review,
        answer: Answer,
        look: str | None,
        shown: Mapping[str, Any],
    ) -> Settled:
        policy = policy_behind(session, review.decision)
        if policy is not None:
            check_answer(answer, policy, review.decision.flagged)
        verdict = _record(session, reviewer, review, answer, look)
        reviews.settle(session, [review.id])
        _ask_others(session, review, verdict, answer, policy)
        if review.kind.decides:
            self._notify(session, verdict_events.VERDICT_MADE, review, verdict)
        if review.kind is ReviewKind.APPEAL:
            self._notify(session, verdict_events.APPEAL_ANSWERED, review, verdict)
        audit_log.note(
            session,
            reviewer.name,
            audit_log.VERDICT_MADE,
            review_id=review.id,
            submission_id=verdict.submission_id,
            verdict=verdict.id,
            kind=review.kind.value,
            action=answer.action.value,
            labels=sorted(answer.labels),
            reason=answer.reason,
            shown=dict(shown),
        )
        return Settled(review.id, verdict.id, verdict.submission_id)

    def _notify(self, session: Session, kind: str, review: Review, verdict: RecordedVerdict) -> None:
        """Count the change and write its event: the verdict, the newest of its submission, is in force."""
        sequence = in_force.advance(session, [verdict.submission_id])[verdict.submission_id]
        decided_by = DecidedBy.APPEAL if review.kind is ReviewKind.APPEAL else DecidedBy.REVIEWER
        state = InForce(sequence, verdict.action, decided_by)
        verdict_events.notify(session, kind, verdict, state, self.callback)


def _sent_again(
    session: Session, reviewer: Reviewer, tokens: Sequence[ClaimToken], answer: Answer
) -> list[Settled]:
    """Return what came of these tokens, if this very person gave this very answer by them."""
    found = []
    for review, token in zip(review_claims.lock(session, tokens), tokens, strict=True):
        verdict = verdicts.of_review(session, review.id) if review.state == SETTLED else None
        if verdict is None or review.fence != token.fence or not _says(verdict, reviewer, answer):
            return []
        found.append(Settled(review.id, verdict.id, verdict.submission_id))
    return found


def _says(verdict: RecordedVerdict, reviewer: Reviewer, answer: Answer) -> bool:
    given = (verdict.reviewer, verdict.action, frozenset(verdict.labels))
    return given == (reviewer.name, answer.action, answer.labels)


def _record(
    session: Session, reviewer: Reviewer, review: Review, answer: Answer, look: str | None
) -> RecordedVerdict:
    submission_id = review.decision.submission_id
    verdict_id = verdicts.record(
        session,
        Verdict(submission_id, answer.action, answer.labels),
        decision_id=review.decision.id,
        reviewer=reviewer.name,
        review_id=review.id,
        reason=answer.reason,
        note=answer.note,
        given_with=look,
        effective=review.kind.decides,
    )
    return verdicts.get(session, verdict_id)


def _ask_others(
    session: Session, review: Review, verdict: RecordedVerdict, answer: Answer, policy: Policy | None
) -> None:
    """Ask a second person where the policy wants one, or a lead where two differ."""
    decision, now = review.decision, database_now(session)
    if review.kind.is_first and policy is not None:
        share = second_look_share(policy, answer, decision.flagged)
        if is_looked_at_twice(decision.submission_id, share):
            reviews.ask(session, decision.id, ReviewKind.SECOND, place_again(session, decision, now))
    if review.kind is ReviewKind.SECOND:
        first = verdicts.current(session, decision.submission_id)
        if first and _is_in_question(first, decision.id) and first.action is not verdict.action:
            place = place_again(session, decision, now)
            reviews.ask(session, decision.id, ReviewKind.DISAGREEMENT, place, for_lead=True)


def _is_in_question(first: RecordedVerdict, decision_id: int) -> bool:
    """Whether the second look was at this verdict, and no appeal has been answered since."""
    return first.decision_id == decision_id and first.kind is not None and first.kind.is_first
