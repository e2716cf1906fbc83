"""Claims of reviews: leases for one person at a time, with a fencing token that each claim increments."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from worker.domain.accounts.reviewer import Reviewer
from worker.domain.reviews.review import ClaimToken, ReviewKind
from worker.errors import ReviewConflictError, ReviewNotAllowedError, UnknownReviewError
from worker.store.engine.clock import database_now, moment
from worker.store.engine.inserting import insert_into
from worker.store.engine.tables import DecisionRow, GoldenItemRow, ReviewRow, ReviewSkipRow, VerdictRow
from worker.store.reviews import audit_log, reviews, verdicts
from worker.store.reviews.reviews import OPEN, SETTLED, WITHDRAWN, Review


def claim(session: Session, review_ids: Collection[int], reviewer: str, until: datetime) -> None:
    """Claim reviews for a person; they have to be free, and locked by this transaction."""
    _update(session, review_ids, claimed_by=reviewer, claimed_until=until, fence=ReviewRow.fence + 1)


def renew(session: Session, review_ids: Collection[int], until: datetime) -> None:
    """Extend the leases of these to `until`."""
    _update(session, review_ids, claimed_until=until)


def release(session: Session, review_ids: Collection[int], **values: object) -> None:
    """Release reviews from any holder, and write `values` as well."""
    _update(session, review_ids, claimed_by=None, claimed_until=None, **values)


def reopen(session: Session, review_ids: Collection[int], reviewer: str | None, until: datetime) -> None:
    """Reopen settled reviews, claimed for `reviewer`, or free if that is None."""
    held = {"claimed_by": reviewer, "claimed_until": until if reviewer else None}
    _update(session, review_ids, state=OPEN, fence=ReviewRow.fence + 1, **held)


def skip(session: Session, review_id: int, reviewer: str, reason: str) -> None:
    """Move a review to the end of the queue for a person."""
    now = {"reason": reason, "created_at": moment()}
    row = insert_into(session, ReviewSkipRow, review_id=review_id, reviewer=reviewer, **now)
    key = [ReviewSkipRow.review_id, ReviewSkipRow.reviewer]
    session.execute(row.on_conflict_do_update(index_elements=key, set_=now))


def hold(session: Session, reviewer: str, tokens: Sequence[ClaimToken], now: datetime) -> list[Review]:
    """Return the reviews that a person holds with these tokens, locked until the transaction ends.

    An expired lease still counts until another person claims the review. UnknownReviewError if there is no
    such review, ReviewConflictError if one is settled, claimed by another person, or free.
    """
    held = lock(session, tokens)
    for review, token in zip(held, tokens, strict=True):
        if review.state != OPEN and _is_hidden(session, review, reviewer):
            raise unknown(review.id)
        if review.state != OPEN or review.claimed_by != reviewer or review.fence != token.fence:
            raise conflict(session, review, now)
    return held


def lock(session: Session, tokens: Sequence[ClaimToken]) -> list[Review]:
    """Return the reviews of these tokens, held or not, locked until the transaction ends."""
    ids = [token.review_id for token in tokens]
    # In a fixed order, so that two transactions that lock several never deadlock.
    ordered = select(ReviewRow.id).where(ReviewRow.id.in_(ids)).order_by(ReviewRow.id)
    known = set(session.scalars(ordered.with_for_update()))
    if missing := [one for one in ids if one not in known]:
        raise unknown(missing[0])
    return reviews.by_ids(session, ids)


def _is_hidden(session: Session, review: Review, reviewer: str) -> bool:
    """Whether a settled review must stay hidden, since it would reveal that this person's look is blind."""
    return not audit_log.has_claimed(session, reviewer, review.id) and is_to_be_asked_blindly(
        session, review.decision.submission_id, Reviewer(reviewer)
    )


def may_know(session: Session, review: Review, reviewer: Reviewer) -> bool:
    """Whether a person may know that a review exists.

    Only a lead and a person who has claimed it may know an answered one. Otherwise a reviewer could find out
    that the picture before them has an answer already: theirs is a second look or a golden item.
    """
    if review.meant_for not in {None, reviewer.name}:
        # A claimed golden item is listed as any claimed review.
        return review.state == OPEN and review.is_held(database_now(session))
    if review.state == OPEN or audit_log.has_claimed(session, reviewer.name, review.id):
        return True
    blind = is_to_be_asked_blindly(session, review.decision.submission_id, reviewer)
    return reviewer.is_lead and not blind


def require_known(session: Session, review: Review, reviewer: Reviewer) -> None:
    """Raise UnknownReviewError, as for a missing review, if a person may not know that this one exists.

    ReviewNotAllowedError if it is an escalated golden item and the person is not a lead.
    """
    if not may_know(session, review, reviewer):
        raise unknown(review.id)
    if is_escalated_golden(review) and not reviewer.is_lead:
        raise ReviewNotAllowedError(f"review {review.id} is for a lead", hint="claim the next one instead")


def is_escalated_golden(review: Review) -> bool:
    """Whether this is a golden item that was escalated: it is shown as a review that waits for a lead."""
    return review.kind is ReviewKind.GOLDEN and review.state == WITHDRAWN


def golden_reviews(session: Session, submission_id: str) -> set[int]:
    """Return the ids of the golden reviews about a submission."""
    query = (
        select(ReviewRow.id)
        .join(DecisionRow, DecisionRow.id == ReviewRow.decision_id)
        .where(DecisionRow.submission_id == submission_id, ReviewRow.kind == ReviewKind.GOLDEN.value)
    )
    return set(session.scalars(query))


def blind_since(session: Session, submission_id: str, reviewer: Reviewer) -> datetime | None:
    """Return when the newest open blind review of a submission that this person may know was asked."""
    blind = [kind.value for kind in ReviewKind if kind.is_blind]
    query = (
        select(ReviewRow.created_at)
        .join(DecisionRow, DecisionRow.id == ReviewRow.decision_id)
        .where(
            DecisionRow.submission_id == submission_id,
            ReviewRow.kind.in_(blind),
            ReviewRow.state == OPEN,
            or_(
                ReviewRow.meant_for.is_(None),
                ReviewRow.meant_for == reviewer.name,
                ReviewRow.claimed_until > moment(),
            ),
        )
    )
    return session.scalar(query.order_by(ReviewRow.id.desc()).limit(1))


def held_reviews(session: Session, submission_id: str, reviewer: str) -> set[int]:
    """Return the ids of the open reviews of a submission that a person has claimed."""
    query = (
        select(ReviewRow.id)
        .join(DecisionRow, DecisionRow.id == ReviewRow.decision_id)
        .where(
            DecisionRow.submission_id == submission_id,
            ReviewRow.claimed_by == reviewer,
            ReviewRow.state == OPEN,
        )
    )
    return set(session.scalars(query))


def is_to_be_asked_blindly(session: Session, submission_id: str, reviewer: Reviewer) -> bool:
    """Whether this person must not know what others answered about a submission.

    True if they have claimed a blind review of it, or if they are not a lead and could still get a second
    look or a golden item of it.
    """
    of_submission = DecisionRow.submission_id == submission_id
    blind = [kind.value for kind in ReviewKind if kind.is_blind]
    open_ones = (
        select(ReviewRow.id)
        .join(DecisionRow, DecisionRow.id == ReviewRow.decision_id)
        .where(of_submission, ReviewRow.kind.in_(blind), ReviewRow.state == OPEN)
    )
    if session.scalar(open_ones.where(ReviewRow.claimed_by == reviewer.name).limit(1)) is not None:
        return True
    answered = select(VerdictRow.id).where(
        VerdictRow.submission_id == submission_id, VerdictRow.reviewer == reviewer.name
    )
    if reviewer.is_lead or session.scalar(answered.limit(1)) is not None:
        return False
    golden = select(GoldenItemRow.id).join(DecisionRow, DecisionRow.id == GoldenItemRow.decision_id)
    return (
        session.scalar(open_ones.limit(1)) is not None
        or session.scalar(golden.where(of_submission).limit(1)) is not None
    )


def _update(session: Session, review_ids: Collection[int], **values: object) -> None:
    session.execute(
        update(ReviewRow)
        .where(ReviewRow.id.in_(review_ids))
        .values(**values)
        .execution_options(synchronize_session=False)
    )


def unknown(review_id: int) -> UnknownReviewError:
    """Return the error for a missing review."""
    return UnknownReviewError(
        f"there is no review {review_id}", hint="moderate review list shows what is open"
    )


def conflict(session: Session, review: Review, now: datetime) -> ReviewConflictError:
    """Return the error for a review that is settled, withdrawn, claimed by another person, or free."""
    if review.state == SETTLED:
        verdict = verdicts.of_review(session, review.id)
        answer = (
            f"by {verdict.reviewer} at {_time(verdict.created_at)}: {verdict.action.value}" if verdict else ""
        )
        return ReviewConflictError(f"review {review.id} was settled {answer}".rstrip())
    if review.state != OPEN and not is_escalated_golden(review):
        return ReviewConflictError(f"review {review.id} was withdrawn: its cause was reversed")
    if review.is_held(now):
        at = audit_log.claimed_at(session, review.id)
        since = f" since {_time(at)}" if at else ""
        return ReviewConflictError(f"review {review.id} is claimed by {review.claimed_by}{since}")
    return ReviewConflictError(
        f"review {review.id} is not claimed: the claim expired or was released",
        hint="claim it again",
    )


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
