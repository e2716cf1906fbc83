"""Verdicts: people's answers, the ground truth that policies are measured against."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, exists, insert, literal, select, union_all
from sqlalchemy.orm import Session

from worker.domain.policies.policy import Action
from worker.domain.reviews.review import ReviewKind
from worker.store.engine.tables import (
    GIVEN,
    DecisionRow,
    LabelScoreRow,
    ReversalRow,
    ReviewRow,
    VerdictRow,
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A person's answer about one submission."""

    submission_id: str
    action: Action
    labels: frozenset[str]
    #: Whether the person saw the bytes that were judged.
    picture_seen: bool = True


#: What was judged: the SHA-256 of the bytes, and the digest of the policy version.
Judged = tuple[str, str]
#: How many pictures one statement looks up: SQLite joins no more than 500 selects.
_CHUNK: Final = 250


@dataclass(frozen=True, slots=True)
class RecordedVerdict:
    """A verdict as the database holds it, with its reversal."""

    id: int
    submission_id: str
    decision_id: int
    #: None if it is inherited, or older than the queue.
    review_id: int | None
    kind: ReviewKind | None
    action: Action
    labels: tuple[str, ...]
    reviewer: str
    reason: str
    note: str
    #: Identifies the verdicts that were given together; None if it was given singly.
    given_with: str | None
    inherited_from: int | None
    effective: bool
    #: Whether the person saw the bytes that were judged.
    picture_seen: bool
    #: In UTC.
    created_at: datetime
    reversed_at: datetime | None
    reversed_by: str | None


def record(  # noqa: PLR0913 - an argument for each fact, all by name
    session: Session,
    verdict: Verdict,
    *,
    decision_id: int,
    reviewer: str,
    review_id: int | None = None,
    reason: str = "",
    note: str = "",
    given_with: str | None = None,
    inherited_from: int | None = None,
    effective: bool = True,
) -> int:
    """Add a verdict and return its id; the latest effective one of a submission is in force."""
    row = {
        "submission_id": verdict.submission_id,
        "decision_id": decision_id,
        "review_id": review_id,
        "action": verdict.action,
        "labels": sorted(verdict.labels),
        "reviewer": reviewer,
        "reason": reason or None,
        "note": note or None,
        "given_with": given_with,
        "inherited_from": inherited_from,
        "effective": effective,
        "picture_seen": verdict.picture_seen,
        # No submission inherits an answer about other bytes, or about none.
        **(_judged_by(decision_id) if verdict.picture_seen and not inherited_from else {}),
    }
    return session.scalars(insert(VerdictRow).values(row).returning(VerdictRow.id)).one()


def reverse(session: Session, verdict_id: int, *, reviewer: str, action: Action, reason: str) -> None:
    """Reverse a verdict; `action` is in force on its submission from now on."""
    row = {"verdict_id": verdict_id, "reviewer": reviewer, "action": action, "reason": reason or None}
    session.execute(insert(ReversalRow).values(row))


def is_not_reversed(row: type[VerdictRow] = VerdictRow) -> ColumnElement[bool]:
    """Return the condition that a verdict was not reversed."""
    return ~exists().where(ReversalRow.verdict_id == row.id).correlate(row)


def in_force(row: type[VerdictRow] = VerdictRow) -> ColumnElement[bool]:
    """Return the condition that a verdict is in force, unless a later one is."""
    return and_(row.effective, is_not_reversed(row))


def latest_of(session: Session, submission_ids: Sequence[str]) -> dict[str, Verdict]:
    """Return the verdict in force on each of these submissions that has one."""
    query = (
        select(VerdictRow)
        .where(VerdictRow.submission_id.in_(submission_ids), in_force())
        .order_by(VerdictRow.id)
    )
    return {
        row.submission_id: Verdict(
            row.submission_id, row.action, frozenset(row.labels), picture_seen=row.picture_seen
        )
        for row in session.scalars(query)
    }


def audited(session: Session, submission_ids: Sequence[str]) -> dict[str, float]:
    """Return the probability with which the audit drew each of these submissions that it drew."""
    query = (
        select(DecisionRow.submission_id, DecisionRow.audit_probability)
        .join(ReviewRow, ReviewRow.decision_id == DecisionRow.id)
        .where(
            DecisionRow.submission_id.in_(submission_ids),
            DecisionRow.audit_probability > 0,
            ReviewRow.kind == ReviewKind.AUDIT,
        )
    )
    return {submission_id: probability or 1.0 for submission_id, probability in session.execute(query)}


def find(session: Session, verdict_id: int) -> RecordedVerdict | None:
    """Return a verdict, reversed or not, if there is one with this id."""
    return next(iter(_read(session, _verdicts().where(VerdictRow.id == verdict_id))), None)


def get(session: Session, verdict_id: int) -> RecordedVerdict:
    """Return a verdict that exists, reversed or not."""
    (found,) = _read(session, _verdicts().where(VerdictRow.id == verdict_id))
    return found


def current(session: Session, submission_id: str, without: Collection[int] = ()) -> RecordedVerdict | None:
    """Return the verdict in force on a submission, as if those in `without` had been reversed."""
    query = (
        _verdicts()
        .where(VerdictRow.submission_id == submission_id, in_force(), VerdictRow.id.not_in(without))
        .order_by(VerdictRow.id.desc())
        .limit(1)
    )
    return next(iter(_read(session, query)), None)


def of_review(session: Session, review_id: int) -> RecordedVerdict | None:
    """Return the verdict that answers a review, and was not reversed."""
    query = _verdicts().where(VerdictRow.review_id == review_id, is_not_reversed())
    return next(iter(_read(session, query.order_by(VerdictRow.id.desc()).limit(1))), None)


def of_decision(session: Session, decision_id: int) -> list[RecordedVerdict]:
    """Return the verdicts on a decision that were not reversed, oldest first."""
    query = _verdicts().where(VerdictRow.decision_id == decision_id, is_not_reversed())
    return _read(session, query.order_by(VerdictRow.id))


def given_with(session: Session, name: str) -> list[RecordedVerdict]:
    """Return the verdicts that were given together and not reversed, oldest first."""
    in_group = and_(VerdictRow.given_with == name, is_not_reversed())
    return _read(session, _verdicts().where(in_group).order_by(VerdictRow.id))


def inherited_from(session: Session, verdict_ids: Collection[int]) -> list[RecordedVerdict]:
    """Return the verdicts that were inherited from these and not reversed, oldest first."""
    inheriting = and_(VerdictRow.inherited_from.in_(verdict_ids), is_not_reversed())
    return _read(session, _verdicts().where(inheriting).order_by(VerdictRow.id))


def to_inherit(session: Session, pictures: Collection[Judged]) -> dict[Judged, RecordedVerdict]:
    """Return the last verdict that a person gave on each of these pictures, unless it is reversed.

    Locks the verdicts: a transaction that reverses one waits for this one to end, and finds its heirs.
    """
    latest: dict[Judged, int] = {}
    wanted = sorted(set(pictures))
    for start in range(0, len(wanted), _CHUNK):
        query = _latest_given(wanted[start : start + _CHUNK])
        latest |= {(sha256, digest): verdict_id for sha256, digest, verdict_id in session.execute(query)}
    if not latest:
        return {}
    lock(session, latest.values(), shared=True)
    # Read after locking: one may have been reversed since, which its own row does not show.
    found = {one.id: one for one in _read(session, _verdicts().where(VerdictRow.id.in_(latest.values())))}
    by_picture = {key: found[verdict_id] for key, verdict_id in latest.items()}
    return {key: one for key, one in by_picture.items() if one.reversed_at is None}


def lock(session: Session, verdict_ids: Iterable[int], *, shared: bool = False) -> None:
    """Lock verdicts until the transaction ends, so that no other can inherit or reverse them.

    `shared`: others can inherit them, but not reverse them.
    """
    ordered = select(VerdictRow.id).where(VerdictRow.id.in_(list(verdict_ids))).order_by(VerdictRow.id)
    session.execute(ordered.with_for_update(read=shared)).all()


def _judged_by(decision_id: int) -> dict[str, Any]:
    """Return the columns for the bytes and the policy version of a decision.

    None if the submission's text added to a flagged score: the answer is not about the bytes alone.
    """
    columns = (DecisionRow.sha256, DecisionRow.policy_digest)
    by_text = exists().where(
        LabelScoreRow.decision_id == decision_id, LabelScoreRow.flagged, LabelScoreRow.text_added > 0
    )
    return {
        column.key: select(column).where(DecisionRow.id == decision_id, ~by_text).scalar_subquery()
        for column in columns
    }


def _latest_given(pictures: Sequence[Judged]) -> Select[str, str, int]:
    """Return a query of the last verdict in force that a person gave on each of these pictures.

    It reads one index entry for each picture, even if many decisions are about the same bytes.
    """
    wanted = union_all(
        *(
            select(literal(sha256).label("sha256"), literal(digest).label("policy_digest"))
            for sha256, digest in pictures
        )
    ).subquery()
    last = (
        select(VerdictRow.id)
        .where(
            VerdictRow.sha256 == wanted.c.sha256,
            VerdictRow.policy_digest == wanted.c.policy_digest,
            GIVEN,
            in_force(),
        )
        .order_by(VerdictRow.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    found = select(wanted.c.sha256, wanted.c.policy_digest, last.label("verdict_id")).subquery()
    return select(found.c.sha256, found.c.policy_digest, found.c.verdict_id).where(
        found.c.verdict_id.is_not(None)
    )


def _verdicts() -> Select[VerdictRow, str | None, datetime | None, str | None]:
    return (
        select(VerdictRow, ReviewRow.kind, ReversalRow.created_at, ReversalRow.reviewer)
        .outerjoin(ReviewRow, ReviewRow.id == VerdictRow.review_id)
        .outerjoin(ReversalRow, ReversalRow.verdict_id == VerdictRow.id)
    )


def _read(
    session: Session, query: Select[VerdictRow, str | None, datetime | None, str | None]
) -> list[RecordedVerdict]:
    return [_recorded(*found) for found in session.execute(query)]


def _recorded(
    row: VerdictRow, kind: str | None, reversed_at: datetime | None, reversed_by: str | None
) -> RecordedVerdict:
    return RecordedVerdict(
        id=row.id,
        submission_id=row.submission_id,
        decision_id=row.decision_id,
        review_id=row.review_id,
        kind=ReviewKind(kind) if kind else None,
        action=row.action,
        labels=tuple(row.labels),
        reviewer=row.reviewer,
        reason=row.reason or "",
        note=row.note or "",
        given_with=row.given_with,
        inherited_from=row.inherited_from,
        effective=row.effective,
        picture_seen=row.picture_seen,
        created_at=row.created_at,
        reversed_at=reversed_at,
        reversed_by=reversed_by,
    )
