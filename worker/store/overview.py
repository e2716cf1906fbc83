"""The deployment at a glance: few queries, each by an index, for metrics and for `moderate status`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Select, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from worker.domain.backlog import Backlog, Waiting
from worker.domain.policy import Action
from worker.domain.review import ReviewKind
from worker.store.column_types import utc_now
from worker.store.policy_states import SILENT_AFTER
from worker.store.reviews import IS_OPEN
from worker.store.tables import (
    PENDING,
    TRIED_AGAIN,
    UNDECIDED,
    DecisionRow,
    OutboxRow,
    PolicyStateRow,
    ReviewRow,
    SubmissionConflictRow,
    SubmissionRow,
)

HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Lately:
    """How often something happened."""

    last_hour: int = 0
    last_day: int = 0


@dataclass(frozen=True, slots=True)
class Happenings:
    """What happened within a day."""

    decisions: Mapping[Action, Lately]
    #: Submissions that took more than one attempt.
    tried_again: Lately
    refused: Lately
    conflicts: Lately
    #: The id that came last with another picture; None where none did.
    newest_conflict: str | None


def backlog(session: Session) -> Backlog:
    """Return what waits now."""
    now = utc_now()
    given_up = select(func.count()).where(OutboxRow.state == "given_up")
    workers = select(func.count(PolicyStateRow.process.distinct())).where(
        PolicyStateRow.seen_at >= now - SILENT_AFTER
    )
    return Backlog(
        at=now,
        undecided=_waiting(session, SubmissionRow.created_at, UNDECIDED),
        overdue=_waiting(session, SubmissionRow.publish_at, SubmissionRow.publish_at <= now),
        outbox=_waiting(session, OutboxRow.created_at, PENDING),
        given_up=session.scalar(given_up) or 0,
        reviews=_open_reviews(session),
        workers=session.scalar(workers) or 0,
    )


def happenings(session: Session) -> Happenings:
    """Return what happened within the last hour and the last day."""
    now = utc_now()
    refused = SubmissionRow.state == "refused"
    newest = select(SubmissionConflictRow.submission_id).order_by(SubmissionConflictRow.created_at.desc())
    conflicts = _lately(session, SubmissionConflictRow.created_at, now)
    return Happenings(
        decisions=_decisions(session, now),
        tried_again=_lately(session, SubmissionRow.updated_at, now, TRIED_AGAIN),
        refused=_lately(session, SubmissionRow.updated_at, now, refused),
        conflicts=conflicts,
        newest_conflict=session.scalar(newest.limit(1)) if conflicts.last_day else None,
    )


def _waiting(session: Session, since: InstrumentedAttribute[Any], *conditions: Any) -> Waiting:
    query = select(func.count(), func.min(since)).where(*conditions)
    return Waiting(*session.execute(query).one())


def _open_reviews(session: Session) -> dict[ReviewKind, Waiting]:
    query = (
        select(ReviewRow.kind, func.count(), func.min(ReviewRow.created_at))
        .where(IS_OPEN)
        .group_by(ReviewRow.kind)
    )
    found = {kind: Waiting(count, oldest_at) for kind, count, oldest_at in session.execute(query)}
    return {kind: found.get(kind, Waiting()) for kind in ReviewKind}


def _decisions(session: Session, now: datetime) -> dict[Action, Lately]:
    # All actions, so that the index by action and time holds everything that is asked for.
    query = (
        _counted(select(DecisionRow.action), DecisionRow.created_at, now)
        .where(DecisionRow.action.in_(list(Action)))
        .group_by(DecisionRow.action)
    )
    found = {action: Lately(hour, day) for action, hour, day in session.execute(query)}
    return {action: found.get(action, Lately()) for action in Action}


def _lately(session: Session, at: InstrumentedAttribute[datetime], now: datetime, *conditions: Any) -> Lately:
    return Lately(*session.execute(_counted(select(), at, now).where(*conditions)).one())


def _counted(query: Select[Any], at: InstrumentedAttribute[datetime], now: datetime) -> Select[Any]:
    """Return `query` with two columns more: how many rows of the last hour, and of the last day."""
    return query.add_columns(func.count().filter(at >= now - HOUR), func.count()).where(at >= now - DAY)
