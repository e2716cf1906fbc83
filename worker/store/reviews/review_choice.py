"""Chooses the review that a person gets: free, meant for them, and showing nothing they must not see.

On PostgreSQL rows that another transaction is claiming are skipped; on SQLite writing transactions wait for
each other. Either way two people never get the same review.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, and_, exists, false, func, insert, literal_column, or_, select
from sqlalchemy import type_coerce as read_as
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session, aliased

from worker.domain.accounts.reviewer import Reviewer
from worker.domain.policies.policy import Action
from worker.domain.reviews.review import SEVERE, ReviewKind, Routing
from worker.errors import ReviewNotAllowedError
from worker.store.engine.tables import DecisionRow, GoldenItemRow, ReviewRow, ReviewSkipRow, VerdictRow
from worker.store.reviews import review_claims, review_search, reviews
from worker.store.reviews.review_search import ReviewFilters
from worker.store.reviews.reviews import IS_OPEN, OPEN, Review

#: Key of an advisory lock: any number that no other lock in this database uses.
_REVIEWER_LOCK: Final = 712_027


@dataclass(frozen=True, slots=True)
class Claimant:
    """A person who claims, and how many severe pictures they may still see today; None for no limit."""

    reviewer: Reviewer
    severe_left: int | None


def take_turns(session: Session, reviewer: str) -> None:
    """Serialize the claims of one person: two at once could both pass the limit on severe pictures."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(_REVIEWER_LOCK, func.hashtext(reviewer))))


def next_for(session: Session, claimant: Claimant, filters: ReviewFilters, now: datetime) -> int | None:
    """Return the next review for a person; those they skipped come last, in the order of skipping."""
    if not review_search.may_match(session, filters):
        return None
    skipped = exists().where(
        ReviewSkipRow.review_id == ReviewRow.id, ReviewSkipRow.reviewer == claimant.reviewer.name
    )
    fitting = (
        select(ReviewRow.id)
        .join(DecisionRow, DecisionRow.id == ReviewRow.decision_id)
        .where(
            _is_free(now), *review_search.meant(filters), *_fits(session, claimant), *_within_cap(claimant)
        )
        .limit(1)
        .with_for_update(of=ReviewRow, skip_locked=True)
    )
    first = session.scalar(fitting.where(~skipped).order_by(ReviewRow.priority.desc(), ReviewRow.id))
    if first is not None:
        return first
    again = fitting.join(ReviewSkipRow, ReviewSkipRow.review_id == ReviewRow.id)
    again = again.where(ReviewSkipRow.reviewer == claimant.reviewer.name)
    return session.scalar(again.order_by(ReviewSkipRow.created_at, ReviewRow.id))


def golden_for(session: Session, claimant: Claimant, filters: ReviewFilters) -> GoldenItemRow | None:
    """Return a random golden item that this person has never seen, if one is left."""
    name = claimant.reviewer.name
    asked = exists().where(ReviewRow.golden_id == GoldenItemRow.id, ReviewRow.meant_for == name)
    seen = exists().where(VerdictRow.submission_id == DecisionRow.submission_id, VerdictRow.reviewer == name)
    query = (
        select(GoldenItemRow)
        .join(DecisionRow, DecisionRow.id == GoldenItemRow.decision_id)
        .where(GoldenItemRow.retired_at.is_(None), ~asked, ~seen)
        .where(*review_search.about(filters), *_may_see(session, claimant))
        .order_by(func.random())
        .limit(1)
    )
    if filters.queue is not None:
        query = query.where(GoldenItemRow.queue == filters.queue)
    if filters.kind is not None:
        query = query.where(_is_disguised_as(filters.kind))
    return session.scalar(query)


def _is_disguised_as(kind: ReviewKind) -> ColumnElement[bool]:
    """Return the condition that a golden item is shown as a review of this kind."""
    if kind is ReviewKind.AUDIT:
        return DecisionRow.action == Action.ALLOW
    return DecisionRow.action != Action.ALLOW if kind is ReviewKind.DECISION else false()


def ask_golden(
    session: Session, golden: GoldenItemRow, reviewer: str, place: Routing, created_at: datetime
) -> int:
    """Add a review that asks a person a golden item; return its id."""
    row = {
        "decision_id": golden.decision_id,
        "kind": ReviewKind.GOLDEN.value,
        "state": OPEN,
        "queue": golden.queue,
        "priority": place.priority,
        "deadline_at": place.deadline_at,
        "created_at": created_at,
        "golden_id": golden.id,
        "meant_for": reviewer,
    }
    return session.scalars(insert(ReviewRow).values(row).returning(ReviewRow.id)).one()


def asked_before(session: Session, review: Review) -> datetime | None:
    """Return when the previous open review of the same kind was asked; None if this is the first."""
    earlier = ReviewRow.created_at < review.created_at
    query = select(ReviewRow.created_at).where(IS_OPEN, ReviewRow.kind == review.kind.value, earlier)
    return session.scalar(query.order_by(ReviewRow.created_at.desc()).limit(1))


def pick(session: Session, claimant: Claimant, review_id: int, now: datetime) -> Review:
    """Return one review for this person to claim, and lock it.

    UnknownReviewError, ReviewConflictError or ReviewNotAllowedError if this person cannot claim it.
    """
    name = claimant.reviewer.name
    locked = select(ReviewRow.id).where(ReviewRow.id == review_id).with_for_update()
    if session.scalar(locked) is None:
        raise review_claims.unknown(review_id)
    (review,) = reviews.by_ids(session, [review_id])
    review_claims.require_known(session, review, claimant.reviewer)
    if review.state != OPEN or (review.is_held(now) and review.claimed_by != name):
        raise review_claims.conflict(session, review, now)
    if not review.is_held(now):
        _require_fit(session, claimant, review_id)
    return review


def free_among(session: Session, claimant: Claimant, review_ids: Collection[int], now: datetime) -> list[int]:
    """Return which of these are free for this person, and lock them; skips those being claimed now."""
    query = (
        select(ReviewRow.id)
        .join(DecisionRow, DecisionRow.id == ReviewRow.decision_id)
        .where(ReviewRow.id.in_(review_ids), _is_free(now), *_fits(session, claimant))
        .order_by(ReviewRow.priority.desc(), ReviewRow.id)
        .with_for_update(of=ReviewRow, skip_locked=True)
    )
    return list(session.scalars(query))


def neighbours(
    session: Session, claimant: Claimant, review: Review, now: datetime, limit: int
) -> list[tuple[int, str, int]]:
    """Return the most urgent free reviews that are comparable with one: id, bytes' digest, and severity.

    They have the same queue, policy version and model.
    """
    kinds = [ReviewKind.DECISION.value, ReviewKind.AUDIT.value]
    query = (
        select(ReviewRow.id, DecisionRow.sha256, DecisionRow.severity)
        .join(DecisionRow, DecisionRow.id == ReviewRow.decision_id)
        .where(
            ReviewRow.queue == review.queue,
            ReviewRow.kind.in_(kinds),
            ReviewRow.for_lead == review.for_lead,
            ReviewRow.id != review.id,
            DecisionRow.policy_digest == review.decision.policy_digest,
            DecisionRow.model_digest == review.decision.model_digest,
            DecisionRow.sha256.is_not(None),
            ReviewRow.priority >= _least_urgent(review.queue, 2 * limit),
            _is_free(now),
            *_fits(session, claimant),
        )
        .order_by(ReviewRow.priority.desc(), ReviewRow.id)
        .limit(limit)
    )
    return [(one, sha256 or "", severity) for one, sha256, severity in session.execute(query)]


def _least_urgent(queue: str, count: int) -> ColumnElement[float]:
    """Return the priority of the open review at position `count` of a queue, to bound a search."""
    row = aliased(ReviewRow)
    at = select(row.priority).where(row.queue == queue, row.state == literal_column("'open'"))
    at = at.order_by(row.priority.desc(), row.id).limit(1).offset(count)
    return func.coalesce(at.scalar_subquery(), -1.0)


def _is_free(now: datetime) -> ColumnElement[bool]:
    unclaimed = or_(ReviewRow.claimed_until.is_(None), ReviewRow.claimed_until <= now)
    return and_(reviews.IS_OPEN, unclaimed)


def _within_cap(claimant: Claimant) -> list[ColumnElement[bool]]:
    """Return the condition that skips severe reviews by the index: severity is a priority's integer part."""
    full = claimant.severe_left is not None and claimant.severe_left <= 0
    return [ReviewRow.priority < SEVERE] if full else []


def _fits(session: Session, claimant: Claimant) -> list[ColumnElement[bool]]:
    reviewer = claimant.reviewer
    for_them = or_(ReviewRow.meant_for.is_(None), ReviewRow.meant_for == reviewer.name)
    for_leads = [] if reviewer.is_lead else [~ReviewRow.for_lead]
    return [for_them, *for_leads, _is_impartial(reviewer), *_may_see(session, claimant)]


def _may_see(session: Session, claimant: Claimant) -> list[ColumnElement[bool]]:
    """Return the conditions that this person may see a picture: their opt-outs and their daily limit."""
    found: list[ColumnElement[bool]] = []
    if opt_outs := claimant.reviewer.opt_outs:
        found += [~review_search.flagged(opt_outs), ~_has_verdict_with(session, opt_outs)]
    if claimant.severe_left is not None and claimant.severe_left <= 0:
        found.append(DecisionRow.severity < SEVERE)
    return found


def _is_impartial(reviewer: Reviewer) -> ColumnElement[bool]:
    impartial = [kind.value for kind in ReviewKind if kind.is_impartial]
    elsewhere = or_(VerdictRow.review_id.is_(None), VerdictRow.review_id != ReviewRow.id)
    answered = (
        exists()
        .where(
            VerdictRow.submission_id == DecisionRow.submission_id,
            VerdictRow.reviewer == reviewer.name,
            elsewhere,
        )
        .correlate(ReviewRow, DecisionRow)
    )
    return or_(ReviewRow.kind.not_in(impartial), ~answered)


def _has_verdict_with(session: Session, labels: Collection[str]) -> ColumnElement[bool]:
    """Return the condition that a verdict has one of these labels, which the model may have missed."""
    if session.get_bind().dialect.name == "postgresql":
        names = read_as(VerdictRow.labels, JSONB)
        found: ColumnElement[bool] = or_(*(names.contains([label]) for label in labels))
    else:
        each = func.json_each(VerdictRow.labels).table_valued("value")
        found = exists(select(1).select_from(each).where(each.c.value.in_(labels)).correlate(VerdictRow))
    answers = select(VerdictRow.id).where(VerdictRow.submission_id == DecisionRow.submission_id, found)
    # Not EXISTS, for the reason that `review_search.flagged` gives.
    return answers.limit(1).correlate(DecisionRow).scalar_subquery().is_not(None)


def _require_fit(session: Session, claimant: Claimant, review_id: int) -> None:
    """Raise ReviewNotAllowedError with the first reason why this person may not claim a review."""
    reviewer, opt_outs = claimant.reviewer, claimant.reviewer.opt_outs
    shown = (
        or_(review_search.flagged(opt_outs), _has_verdict_with(session, opt_outs)) if opt_outs else false()
    )
    full = claimant.severe_left is not None and claimant.severe_left <= 0
    reasons = {
        f"review {review_id} is for a lead": false() if reviewer.is_lead else ReviewRow.for_lead,
        f"review {review_id} shows a label that {reviewer.name} opted out of": shown,
        f"{reviewer.name} has seen {reviewer.severe_per_day} severe pictures today, which is the cap": (
            DecisionRow.severity >= SEVERE if full else false()
        ),
        f"{reviewer.name} has answered about this submission before: another person has to": (
            ~_is_impartial(reviewer)
        ),
    }
    query = select(*reasons.values()).select_from(ReviewRow)
    query = query.join(DecisionRow, DecisionRow.id == ReviewRow.decision_id).where(ReviewRow.id == review_id)
    for reason, holds in zip(reasons, session.execute(query).one(), strict=True):
        if holds:
            raise ReviewNotAllowedError(reason, hint="claim the next one instead")
