"""Settles reviews: record a person's answer, for one or several similar ones, with its consequences."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from worker.domain.accounts.reviewer import Reviewer
from worker.domain.moderation.in_force import DecidedBy, InForce
from worker.domain.moderation.picture import PictureState
from worker.domain.policies.policy import Action, Policy
from worker.domain.reviews.review import ClaimToken, ReviewKind
from worker.domain.reviews.verdict import Answer, check_answer, needs_second_review, second_review_share
from worker.errors import InvalidVerdictError, PictureChangedError
from worker.store.engine.clock import database_now
from worker.store.engine.database import Database
from worker.store.reviews import audit_log, in_force, review_claims, reviews, verdict_events, verdicts
from worker.store.reviews.reviews import SETTLED, Review
from worker.store.reviews.verdicts import RecordedVerdict, Verdict
from worker.usecases.moderation.judged_pictures import CheckPictures
from worker.usecases.policies.policy_behind import place_again, policy_behind


@dataclass(frozen=True, slots=True)
class Settled:
    """A settled review, and its verdict."""

    review_id: int
    verdict_id: int
    submission_id: str
    #: Whether the answer is about the bytes that were judged; if not, it holds for this submission alone.
    picture_seen: bool = True


@dataclass(frozen=True, slots=True)
class SettleReview:
    """Settle claimed reviews, all or none."""

    database: Database
    #: Record of the callback for submissions that name none; None notifies no one.
    callback: Mapping[str, Any] | None = None
    #: Checks whether the person saw the judged bytes; None assumes so.
    check_pictures: CheckPictures | None = None

    def __call__(
        self,
        reviewer: Reviewer,
        tokens: Sequence[ClaimToken],
        answer: Answer,
        shown: Mapping[str, Any] | None = None,
        digests: Mapping[int, str] | None = None,
    ) -> list[Settled]:
        """Give one answer to all of these; `shown` is what the person saw, for the audit log.

        `digests` holds the SHA-256 of the bytes that a platform's desk showed, by review id. Idempotent: if
        the same person sends the same answer again, the result is the same.

        ReviewConflictError if a review is settled or its claim has expired; PictureChangedError if a picture
        has changed and only a lead can allow it; InvalidVerdictError if the policy rejects the answer;
        UnknownReviewError if there is no such review.
        """
        states = self._states(reviewer, tokens, digests or {})
        with self.database.transaction() as session:
            if repeated := _earlier_result(session, reviewer, tokens, answer):
                return repeated
            held = review_claims.hold(session, reviewer.name, tokens, database_now(session))
            look = secrets.token_hex(8) if len(held) > 1 else None
            in_force.lock(session, [review.decision.submission_id for review in held])
            return [
                self._settle(
                    session,
                    reviewer,
                    _Answered(review, answer, states.get(review.id, PictureState.SAME), look),
                    shown or {},
                )
                for review in held
            ]

    def _states(
        self, reviewer: Reviewer, tokens: Sequence[ClaimToken], digests: Mapping[int, str]
    ) -> dict[int, PictureState]:
        """Return the state of each picture, read before the transaction so that no locks are held."""
        if self.check_pictures is None:
            return {}
        with self.database.reading() as session:
            found = reviews.by_ids(session, [token.review_id for token in tokens])
        held = [one for one in found if one.claimed_by == reviewer.name and one.token in tokens]
        return self.check_pictures(held, digests)

    def _settle(
        self, session: Session, reviewer: Reviewer, answered: "_Answered", shown: Mapping[str, Any]
    ) -> Settled:
        review, answer = answered.review, answered.answer
        policy = policy_behind(session, review.decision)
        if policy is not None:
            check_answer(answer, policy, review.decision.flagged)
        _require_seen(reviewer, answered)
        verdict = _record(session, reviewer, answered)
        reviews.settle(session, [review.id])
        _ask_others(session, answered, verdict, policy)
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
            picture=answered.state.value,
        )
        return _settled(verdict)

    def _notify(self, session: Session, kind: str, review: Review, verdict: RecordedVerdict) -> None:
        """Advance the sequence and write the event; the verdict is the newest, and so in force."""
        sequence = in_force.advance(session, [verdict.submission_id])[verdict.submission_id]
        decided_by = DecidedBy.APPEAL if review.kind is ReviewKind.APPEAL else DecidedBy.REVIEWER
        state = InForce(sequence, verdict.action, decided_by)
        verdict_events.notify(session, kind, verdict, state, self.callback)


@dataclass(frozen=True, slots=True)
class _Answered:
    """A review with its answer, and the state of the picture that the person saw."""

    review: Review
    answer: Answer
    state: PictureState
    #: Identifies the reviews that were answered together; None for a single review.
    look: str | None


def _require_seen(reviewer: Reviewer, answered: _Answered) -> None:
    """Refuse to allow a flagged picture that has changed, except by a lead who gives a reason."""
    lifts = answered.answer.action is Action.ALLOW and answered.review.decision.action is not Action.ALLOW
    if not lifts or answered.state is not PictureState.CHANGED:
        return
    problem = f"the picture of review {answered.review.id} changed after it was judged"
    if not reviewer.is_lead:
        raise PictureChangedError(
            f"{problem}: what was flagged cannot be seen any more, so only a lead can allow it",
            hint="block it, or escalate it to a lead",
        )
    if not answered.answer.reason.strip():
        raise InvalidVerdictError(f"{problem}: allowing it needs a reason", hint="say why in a sentence")


def _earlier_result(
    session: Session, reviewer: Reviewer, tokens: Sequence[ClaimToken], answer: Answer
) -> list[Settled]:
    """Return the earlier result if this person has already given this answer with these tokens."""
    found = []
    for review, token in zip(review_claims.lock(session, tokens), tokens, strict=True):
        verdict = verdicts.of_review(session, review.id) if review.state == SETTLED else None
        if verdict is None or review.fence != token.fence or not _is_same_answer(verdict, reviewer, answer):
            return []
        found.append(_settled(verdict))
    return found


def _is_same_answer(verdict: RecordedVerdict, reviewer: Reviewer, answer: Answer) -> bool:
    given = (verdict.reviewer, verdict.action, frozenset(verdict.labels))
    return given == (reviewer.name, answer.action, answer.labels)


def _settled(verdict: RecordedVerdict) -> Settled:
    return Settled(verdict.review_id or 0, verdict.id, verdict.submission_id, verdict.picture_seen)


def _record(session: Session, reviewer: Reviewer, answered: _Answered) -> RecordedVerdict:
    review, answer = answered.review, answered.answer
    seen = answered.state is PictureState.SAME
    verdict_id = verdicts.record(
        session,
        Verdict(review.decision.submission_id, answer.action, answer.labels, picture_seen=seen),
        decision_id=review.decision.id,
        reviewer=reviewer.name,
        review_id=review.id,
        reason=answer.reason,
        note=answer.note,
        given_with=answered.look,
        effective=review.kind.decides,
    )
    return verdicts.get(session, verdict_id)


def _ask_others(
    session: Session, answered: _Answered, verdict: RecordedVerdict, policy: Policy | None
) -> None:
    """Ask a second person if the policy wants one, or a lead if two people disagree."""
    review = answered.review
    decision, now = review.decision, database_now(session)
    if answered.state in {PictureState.CHANGED, PictureState.UNAVAILABLE}:
        # Another person would see no more, and people who did not see it cannot disagree about it.
        return
    if review.kind.is_first and policy is not None:
        share = second_review_share(policy, answered.answer, decision.flagged)
        if needs_second_review(decision.submission_id, share):
            reviews.ask(session, decision.id, ReviewKind.SECOND, place_again(session, decision, now))
    if review.kind is ReviewKind.SECOND:
        first = verdicts.current(session, decision.submission_id)
        if first and _is_in_question(first, decision.id) and first.action is not verdict.action:
            place = place_again(session, decision, now)
            reviews.ask(session, decision.id, ReviewKind.DISAGREEMENT, place, for_lead=True)


def _is_in_question(first: RecordedVerdict, decision_id: int) -> bool:
    """Whether the second review is about this verdict, and no appeal was answered since."""
    return first.decision_id == decision_id and first.kind is not None and first.kind.is_first
