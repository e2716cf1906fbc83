"""Dropped messages: the newest, for a limited time."""

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

#: Number and age are limited, since messages may contain personal data.
MOST_KEPT: Final = 1000
KEPT_FOR: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class DroppedSummary:
    """How many messages were dropped within a day."""

    #: Their number by reason.
    last_day: Mapping[DropReason, int] = field(default_factory=dict)
    #: When the oldest of them was dropped.
    since: datetime | None = None

    @property
    def count(self) -> int:
        """The number of all messages."""
        return sum(self.last_day.values())


def keep(session: Session, messages: Sequence[DroppedMessage]) -> None:
    """Add messages, and delete all but the newest MOST_KEPT."""
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
    """Whether any message is older than KEPT_FOR."""
    return is_any(session, DroppedMessageRow.dropped_at <= database_now(session) - KEPT_FOR)


def forget_old(session: Session, *, limit: int) -> int:
    """Delete at most `limit` messages that are older than KEPT_FOR; return how many."""
    old = DroppedMessageRow.dropped_at <= database_now(session) - KEPT_FOR
    return delete_some(session, DroppedMessageRow, old, limit=limit)


def newest(session: Session, limit: int) -> list[DroppedMessage]:
    """Return the newest messages, at most `limit`."""
    rows = session.scalars(select(DroppedMessageRow).order_by(DroppedMessageRow.id.desc()).limit(limit))
    return [
        DroppedMessage(DropReason(row.reason), row.problem, row.excerpt, row.size_bytes, row.dropped_at)
        for row in rows
    ]


def summary(session: Session) -> DroppedSummary:
    """Return how many messages were dropped within a day, and since when."""
    is_recent = DroppedMessageRow.dropped_at >= database_now(session) - timedelta(days=1)
    query = (
        select(DroppedMessageRow.reason, func.count(), func.min(DroppedMessageRow.dropped_at))
        .where(is_recent)
        .group_by(DroppedMessageRow.reason)
    )
    found = list(session.execute(query))
    return DroppedSummary(
        {DropReason(reason): count for reason, count, _ in found}, min((at for *_, at in found), default=None)
    )
