"""Reverses a verdict, and undoes its consequences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from worker.domain.accounts.reviewer import Reviewer
from worker.domain.policies.policy import Action
from worker.domain.reviews.review import ReviewKind
from worker.domain.reviews.verdict import MAX_REASON_CHARACTERS
from worker.errors import (
    InvalidVerdictError,
    ReviewConflictError,
    ReviewNotAllowedError,
    UnknownReviewError,
)
from worker.store.decisions import decisions
from worker.store.engine.clock import database_now
from worker.store.engine.database import Database
from worker.store.reviews import audit_log, in_force, review_claims, reviews, verdict_events, verdicts
from worker.store.reviews.reviews import SETTLED, WITHDRAWN, Review
from worker.store.reviews.verdicts import RecordedVerdict
from worker.usecases.policies.policy_behind import place_again


@dataclass(frozen=True, slots=True)
class Reversal:
    """What was undone."""

    #: The requested ones, then those based on them: inherited verdicts, and blind second reviews.
    verdict_ids: tuple[int, ...]
    #: The reopened reviews; claimed by a person who reversed their own verdict.
    reopened: tuple[Review, ...]


@dataclass(frozen=True, slots=True)
class ReverseVerdict:
    """Reverse a verdict, or all that were given together with it."""

    database: Database
    lease: timedelta
    #: Record of the default callback, as in SettleReview.
    callback: Mapping[str, Any] | None = None

    def __call__(
        self, reviewer: Reviewer, verdict_id: int, *, whole_group: bool = False, reason: str = ""
    ) -> Reversal:
        """Reverse it: reopen its review, withdraw follow-up reviews, reverse the verdicts that inherited it.

        UnknownReviewError if there is no such verdict; ReviewNotAllowedError if it is another person's and
        `reviewer` is not a lead; ReviewConflictError if it was reversed before or another verdict depends on
        it.
        """
        if len(reason) > MAX_REASON_CHARACTERS:
            raise InvalidVerdictError(f"a reason has at most {MAX_REASON_CHARACTERS:,} characters")
        with self.database.transaction() as session:
            asked = _lock_requested(session, reviewer, verdict_id, whole_group=whole_group)
            dependent = [other for verdict in asked for other in _withdraw_dependent(session, verdict)]
            undone = [*asked, *dependent]
            in_force.lock(session, {verdict.submission_id for verdict in undone})
            for verdict in undone:
                self._reverse(session, reviewer, verdict, [one.id for one in undone], reason)
            for verdict in undone:
                _ask_again(session, verdict)
            reopened = self._reopen(session, reviewer, asked)
        return Reversal(tuple(verdict.id for verdict in undone), tuple(reopened))

    def _reverse(
        self,
        session: Session,
        reviewer: Reviewer,
        verdict: RecordedVerdict,
        undone: Sequence[int],
        reason: str,
    ) -> None:
        if verdict.effective:
            in_force.advance(session, [verdict.submission_id])
        state = in_force.of(session, verdict.submission_id, without=undone)
        if state.action is None:
            raise ValueError(f"verdict {verdict.id} is about no decision")
        verdicts.reverse(session, verdict.id, reviewer=reviewer.name, action=state.action, reason=reason)
        if verdict.effective:
            verdict_events.notify(session, verdict_events.VERDICT_REVERSED, verdict, state, self.callback)
        audit_log.note(
            session,
            reviewer.name,
            audit_log.VERDICT_REVERSED,
            review_id=verdict.review_id,
            submission_id=verdict.submission_id,
            verdict=verdict.id,
            action=state.action.value,
            reason=reason,
        )

    def _reopen(self, session: Session, reviewer: Reviewer, asked: Sequence[RecordedVerdict]) -> list[Review]:
        until = database_now(session) + self.lease
        ids = [verdict.review_id for verdict in asked if verdict.review_id is not None]
        for verdict in asked:
            if verdict.review_id is not None:
                own = reviewer.name if verdict.reviewer == reviewer.name else None
                review_claims.reopen(session, [verdict.review_id], own, until)
        return reviews.by_ids(session, ids)


def _lock_requested(
    session: Session, reviewer: Reviewer, verdict_id: int, *, whole_group: bool
) -> list[RecordedVerdict]:
    """Lock, check and return the verdicts to reverse; they cannot change until the transaction ends."""
    named = verdicts.find(session, verdict_id)
    if named is None:
        raise UnknownReviewError(
            f"there is no verdict {verdict_id}", hint="moderate review history shows a submission's"
        )
    group = [named]
    if whole_group and named.given_with:
        group = verdicts.given_with(session, named.given_with) or group
    for decision_id in sorted({verdict.decision_id for verdict in group}):
        reviews.of_decision(session, decision_id)
    # Submissions before verdicts: the same order as when a decision inherits a verdict.
    in_force.lock(session, {verdict.submission_id for verdict in group})
    verdicts.lock(session, [verdict.id for verdict in group])
    # Read again: a concurrent request may have changed them before we had the locks.
    asked = [verdicts.get(session, verdict.id) for verdict in group]
    for verdict in asked:
        _require_reversible(session, reviewer, verdict)
    return asked


def _require_reversible(session: Session, reviewer: Reviewer, verdict: RecordedVerdict) -> None:
    if verdict.reviewer != reviewer.name and not reviewer.is_lead:
        raise ReviewNotAllowedError(
            f"verdict {verdict.id} is somebody else's", hint="a lead can take it back"
        )
    if verdict.reversed_at is not None:
        raise ReviewConflictError(
            f"verdict {verdict.id} was reversed by {verdict.reversed_by} at {_time(verdict.reversed_at)}"
        )
    last = verdicts.current(session, verdict.submission_id)
    if verdict.effective and last is not None and last.id != verdict.id:
        raise ReviewConflictError(
            f"verdict {verdict.id} was followed by {last.id}, of {last.reviewer} at {_time(last.created_at)}",
            hint=f"take {last.id} back first",
        )
    if verdict.kind is ReviewKind.SECOND:
        for review in reviews.of_decision(session, verdict.decision_id):
            if review.kind is ReviewKind.DISAGREEMENT and review.state == SETTLED:
                raise ReviewConflictError(
                    f"a lead has decided between verdict {verdict.id} and the first, in review {review.id}"
                )


def _withdraw_dependent(session: Session, verdict: RecordedVerdict) -> list[RecordedVerdict]:
    """Withdraw the reviews that this verdict led to, and return the verdicts that depend on it."""
    raised: set[ReviewKind] = set()
    if verdict.kind is not None and verdict.kind.is_first:
        raised = {ReviewKind.SECOND, ReviewKind.DISAGREEMENT}
    elif verdict.kind is ReviewKind.SECOND:
        raised = {ReviewKind.DISAGREEMENT}
    found = verdicts.inherited_from(session, [verdict.id])
    for review in reviews.of_decision(session, verdict.decision_id):
        if review.kind in raised and review.state != WITHDRAWN:
            answer = verdicts.of_review(session, review.id)
            found += [answer] if answer else []
            reviews.withdraw(session, [review.id])
    return found


def _ask_again(session: Session, verdict: RecordedVerdict) -> None:
    """Ask about a decision whose inherited verdict was reversed, if the policy wants a review."""
    if verdict.inherited_from is None:
        return
    decision = decisions.by_ids(session, [verdict.decision_id])[verdict.decision_id]
    if in_force.of(session, verdict.submission_id).action is Action.REVIEW:
        place = place_again(session, decision, database_now(session))
        reviews.ask(session, decision.id, ReviewKind.DECISION, place)


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
