"""Dropped messages: a bounded number of them, newest first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from worker.domain.submissions.dropped_message import DroppedMessage, DropReason
from worker.store.engine.clock import database_now
from worker.store.engine.deleting import delete_some, is_any
from worker.store.engine.tables import DroppedMessageRow

#: The newest of them are kept, for so long: they may hold what is personal.
MOST_KEPT: Final = 1000
KEPT_FOR: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class DroppedSummary:
    """What is kept, in figures."""

    #: By reason, of the last day.
    last_day: Mapping[DropReason, int] = field(default_factory=dict)
    #: The oldest of the last day.
    since: datetime | None = None

    @property
    def count(self) -> int:
        """All of the last day."""
        return sum(self.last_day.values())


def keep(session: Session, messages: Sequence[DroppedMessage]) -> None:
    """Add messages, and forget those beyond the newest MOST_KEPT."""
    now = database_now(session)
    rows = [
        {
            "reason": one.reason.value,
            "problem": one.problem,
            "excerpt": one.excerpt,
            "size_bytes": one.size_bytes,
            "dropped_at": one.dropped_at or now,
        }
        for one in messages
    ]
    session.execute(insert(DroppedMessageRow), rows)
    newest = session.scalar(select(func.max(DroppedMessageRow.id))) or 0
    session.execute(delete(DroppedMessageRow).where(DroppedMessageRow.id <= newest - MOST_KEPT))


def is_any_old(session: Session) -> bool:
    """Whether messages were kept for long enough."""
    return is_any(session, DroppedMessageRow.dropped_at <= database_now(session) - KEPT_FOR)


def forget_old(session: Session, *, limit: int) -> int:
    """Delete at most `limit` messages that were kept for long enough; return how many."""
    old = DroppedMessageRow.dropped_at <= database_now(session) - KEPT_FOR
    return delete_some(session, DroppedMessageRow, old, limit=limit)


def newest(session: Session, limit: int) -> list[DroppedMessage]:
    """Return the newest messages."""
    rows = session.scalars(select(DroppedMessageRow).order_by(DroppedMessageRow.id.desc()).limit(limit))
    return [
        DroppedMessage(DropReason(row.reason), row.problem, row.excerpt, row.size_bytes, row.dropped_at)
        for row in rows
    ]


def summary(session: Session) -> DroppedSummary:
    """Return how many were dropped within a day, and since when."""
    lately = DroppedMessageRow.dropped_at >= database_now(session) - timedelta(days=1)
    query = (
        select(DroppedMessageRow.reason, func.count(), func.min(DroppedMessageRow.dropped_at))
        .where(lately)
        .group_by(DroppedMessageRow.reason)
    )
    found = list(session.execute(query))
    return DroppedSummary(
        {DropReason(reason): count for reason, count, _ in found}, min((at for *_, at in found), default=None)
    )
