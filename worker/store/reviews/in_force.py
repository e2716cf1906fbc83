"""The action in force on submissions, and the sequence numbers of its changes."""

from collections.abc import Collection
from dataclasses import replace

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from worker.domain.moderation.in_force import DecidedBy, InForce
from worker.domain.policies.policy import Action
from worker.domain.reviews.review import ReviewKind
from worker.store.engine.tables import DecisionRow, ReviewRow, SubmissionRow, VerdictRow
from worker.store.engine.updating import in_order
from worker.store.reviews.reviews import Review
from worker.store.reviews.verdicts import in_force


def lock(session: Session, ids: Collection[str]) -> None:
    """Lock submissions in a fixed order: no other transaction changes what is in force until this ends."""
    locked = select(SubmissionRow.id).where(SubmissionRow.id.in_(ids)).order_by(in_order(session))
    session.execute(locked.with_for_update(key_share=True)).all()


def advance(session: Session, ids: Collection[str]) -> dict[str, int]:
    """Increment the sequence number of each of these submissions; return the new numbers.

    The rows stay locked until the transaction ends, so that numbers are committed in order.
    """
    if not ids:
        return {}
    counted = session.execute(
        update(SubmissionRow)
        .where(SubmissionRow.id.in_(ids))
        .values(sequence=SubmissionRow.sequence + 1)
        .returning(SubmissionRow.id, SubmissionRow.sequence)
        .execution_options(synchronize_session=False)
    )
    return {row.id: row.sequence for row in counted}


def of_submissions(
    session: Session, ids: Collection[str], *, without: Collection[int] = ()
) -> dict[str, InForce]:
    """Return what is in force on each of these, as if the verdicts in `without` had been reversed.

    That is the last effective verdict that was not reversed, else the newest decision.
    """
    # Sequence numbers are read before the verdicts, so that a state is never older than its number.
    query = (
        select(SubmissionRow.id, SubmissionRow.sequence, DecisionRow.action)
        .outerjoin(DecisionRow, DecisionRow.submission_id == SubmissionRow.id)
        .where(SubmissionRow.id.in_(ids))
        .order_by(DecisionRow.id)
    )
    found = {
        submission_id: InForce(sequence, action, DecidedBy.POLICY if action else None)
        for submission_id, sequence, action in session.execute(query)
    }
    for submission_id, (action, decided_by) in _verdicts(session, ids, without).items():
        found[submission_id] = replace(found[submission_id], action=action, decided_by=decided_by)
    return found


def of(session: Session, submission_id: str, *, without: Collection[int] = ()) -> InForce:
    """Return what is in force on a submission in the ledger; `without` as in `of_submissions`."""
    return of_submissions(session, [submission_id], without=without)[submission_id]


def of_reviews(session: Session, reviews: Collection[Review]) -> dict[int, InForce]:
    """Return what is in force on each review's submission, by the reviews' ids.

    A blind review gets the state that its policy decided: a verdict in it would reveal that it is blind.
    """
    states = of_submissions(session, {review.decision.submission_id for review in reviews})
    return {
        review.id: InForce(0, review.blinded.decision.action, DecidedBy.POLICY)
        if review.kind.is_blind
        else states[review.decision.submission_id]
        for review in reviews
    }


def _verdicts(
    session: Session, ids: Collection[str], without: Collection[int]
) -> dict[str, tuple[Action, DecidedBy]]:
    query = (
        select(VerdictRow.submission_id, VerdictRow.action, VerdictRow.inherited_from, ReviewRow.kind)
        .outerjoin(ReviewRow, ReviewRow.id == VerdictRow.review_id)
        .where(VerdictRow.submission_id.in_(ids), VerdictRow.id.not_in(without), in_force())
        .order_by(VerdictRow.id)
    )
    # In order of ids, so that the last verdict of each submission remains.
    return {
        submission_id: (action, _decided_by(inherited_from, kind))
        for submission_id, action, inherited_from, kind in session.execute(query)
    }


def _decided_by(inherited_from: int | None, kind: str | None) -> DecidedBy:
    if inherited_from is not None:
        return DecidedBy.INHERITED_VERDICT
    return DecidedBy.APPEAL if kind == ReviewKind.APPEAL else DecidedBy.REVIEWER
