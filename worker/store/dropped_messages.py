"""Dropped messages: a bounded number of them, newest first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from worker.domain.dropped_message import DroppedMessage, DropReason
from worker.store.column_types import utc_now
from worker.store.tables import DroppedMessageRow

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
    rows = [
        {
            "reason": one.reason.value,
            "problem": one.problem,
            "excerpt": one.excerpt,
            "size_bytes": one.size_bytes,
            "dropped_at": one.dropped_at,
        }
        for one in messages
    ]
    session.execute(insert(DroppedMessageRow), rows)
    newest = session.scalar(select(func.max(DroppedMessageRow.id))) or 0
    session.execute(delete(DroppedMessageRow).where(DroppedMessageRow.id <= newest - MOST_KEPT))


def forget_old(session: Session) -> None:
    """Delete what was kept for long enough."""
    session.execute(delete(DroppedMessageRow).where(DroppedMessageRow.dropped_at <= utc_now() - KEPT_FOR))


def newest(session: Session, limit: int) -> list[DroppedMessage]:
    """Return the newest messages."""
    rows = session.scalars(select(DroppedMessageRow).order_by(DroppedMessageRow.id.desc()).limit(limit))
    return [
        DroppedMessage(DropReason(row.reason), row.problem, row.excerpt, row.size_bytes, row.dropped_at)
        for row in rows
    ]


def summary(session: Session) -> DroppedSummary:
    """Return how many were dropped within a day, and since when."""
    lately = DroppedMessageRow.dropped_at >= utc_now() - timedelta(days=1)
    query = (
        select(DroppedMessageRow.reason, func.count(), func.min(DroppedMessageRow.dropped_at))
        .where(lately)
        .group_by(DroppedMessageRow.reason)
    )
    found = list(session.execute(query))
    return DroppedSummary(
        {DropReason(reason): count for reason, count, _ in found}, min((at for *_, at in found), default=None)
    )
