"""Which undecided submissions are to be published now, since they are due or were lost on the queue."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from worker.store.engine.clock import database_now, moment
from worker.store.engine.tables import SubmissionRow
from worker.store.engine.updating import update_submissions
from worker.store.submissions import due_times


@dataclass(frozen=True, slots=True)
class PendingSubmission:
    """An undecided submission, complete enough to be published."""

    id: str
    #: As messages write it.
    source: dict[str, Any]
    policy: str | None
    reference: str
    sha256: str | None
    context: dict[str, Any] | None
    callback: dict[str, Any] | None
    again: str | None
    text: str


def publish_soon(session: Session, ids: Iterable[str]) -> None:
    """Make accepted submissions due for publishing now: they are not on the queue."""
    _update_unclaimed(session, ids, publish_at=moment(), published_at=None)


def is_any_due(session: Session) -> bool:
    """Whether `take_due` would return anything; cheap, and blocks no writer."""
    return bool(session.scalar(select(exists().where(*_due(session)))))


def take_due(session: Session, limit: int) -> list[PendingSubmission]:
    """Return at most `limit` undecided submissions that are due, and mark each as published."""
    return _take(session, limit, SubmissionRow.publish_at, *_due(session))


def is_any_queued_before(session: Session, moment: datetime) -> bool:
    """Whether the ledger has a submission as queued since before `moment`; cheap, blocks no writer."""
    return bool(session.scalar(select(exists().where(*_queued_before(session, moment)))))


def take_lost(session: Session, limit: int, moment: datetime) -> list[PendingSubmission]:
    """Return at most `limit` undecided submissions that were published before `moment` and never arrived.

    Marks each as published again.
    """
    return _take(session, limit, SubmissionRow.published_at, *_queued_before(session, moment))


def published_at(session: Session, ids: Sequence[str]) -> list[datetime]:
    """Return when those of `ids` that the ledger has as queued were published."""
    query = select(SubmissionRow.published_at).where(
        SubmissionRow.id.in_(ids), SubmissionRow.published_at.is_not(None)
    )
    return [moment for moment in session.scalars(query) if moment is not None]


def give_back(session: Session, ids: Sequence[str]) -> None:
    """Undo the marks of `take_due` or `take_lost`: these could not be published."""
    _update_unclaimed(
        session,
        ids,
        publish_at=moment(),
        published_at=None,
        published_again=SubmissionRow.published_again - 1,
    )


def _due(session: Session) -> tuple[ColumnElement[bool], ...]:
    # The time as a parameter: an index cannot be used with a clock, which may differ from row to row.
    return SubmissionRow.published_at.is_(None), SubmissionRow.publish_at <= database_now(session)


def _queued_before(session: Session, moment: datetime) -> tuple[ColumnElement[bool], ...]:
    # A version before 0010 leaves `published_at` set when it claims; if its process died, it counts as lost.
    died = SubmissionRow.claimed_until < database_now(session) - due_times.LEASE
    return (
        SubmissionRow.published_at < moment,
        SubmissionRow.publish_at.is_not(None),
        SubmissionRow.claimed_by.is_(None) | died,
    )


def _take(
    session: Session, limit: int, order: InstrumentedAttribute[Any], *which: ColumnElement[bool]
) -> list[PendingSubmission]:
    query = select(SubmissionRow).where(*which).order_by(order).limit(limit)
    rows = session.scalars(query.with_for_update(skip_locked=True)).all()
    update_submissions(
        session,
        [row.id for row in rows],
        published_again=SubmissionRow.published_again + 1,
        publish_at=due_times.after_patience(),
        published_at=moment(),
    )
    return [
        PendingSubmission(
            id=row.id,
            source=row.pending_source or {},
            policy=row.policy,
            reference=row.reference,
            sha256=row.sha256,
            context=row.context,
            callback=row.callback,
            again=row.again,
            text=row.text or "",
        )
        for row in rows
    ]


def _update_unclaimed(session: Session, ids: Iterable[str], **values: object) -> None:
    """Write into those of `ids` that are still undecided and not claimed."""
    is_undecided, is_free = SubmissionRow.publish_at.is_not(None), SubmissionRow.claimed_by.is_(None)
    update_submissions(session, ids, is_undecided, is_free, **values)
