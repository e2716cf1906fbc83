"""An overview of the deployment, for metrics and `moderate status`: few queries, each by an index."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Select, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from worker.domain.operations.backlog import Backlog, PendingCount
from worker.domain.policies.policy import Action
from worker.domain.reviews.review import ReviewKind
from worker.store.engine.clock import database_now
from worker.store.engine.tables import (
    PENDING,
    TRIED_AGAIN,
    UNDECIDED,
    WAITING,
    WAITING_FOR_POLICY,
    DecisionRow,
    OutboxRow,
    PolicyStateRow,
    ReviewRow,
    SetAsideMessageRow,
    SubmissionConflictRow,
    SubmissionRow,
)
from worker.store.policies.policy_states import SILENT_AFTER
from worker.store.reviews.reviews import IS_OPEN

HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Lately:
    """How often something happened lately."""

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
    #: The id that was last reused for another picture or policy; None if none was.
    newest_conflict: str | None


def backlog(session: Session) -> Backlog:
    """Return what is waiting now."""
    now = database_now(session)
    given_up = select(func.count()).where(OutboxRow.state == "given_up")
    # An error without an attempt: the processes that read the event may not deliver to its callback.
    left_to_others = select(func.count()).where(
        PENDING, OutboxRow.attempts == 0, OutboxRow.error.is_not(None)
    )
    workers = select(func.count(PolicyStateRow.process.distinct())).where(
        PolicyStateRow.seen_at >= now - SILENT_AFTER
    )
    return Backlog(
        at=now,
        undecided=_waiting(session, SubmissionRow.created_at, UNDECIDED),
        overdue=_waiting(
            session,
            SubmissionRow.publish_at,
            SubmissionRow.published_at.is_(None),
            SubmissionRow.publish_at <= now,
        ),
        without_policy=_without_policy(session),
        waiting_for=_waiting_for(session),
        set_aside=_waiting(session, SetAsideMessageRow.failing_since),
        outbox=_waiting(session, OutboxRow.created_at, PENDING),
        left_to_others=session.scalar(left_to_others) or 0,
        given_up=session.scalar(given_up) or 0,
        reviews=_open_reviews(session),
        workers=session.scalar(workers) or 0,
    )


def happenings(session: Session) -> Happenings:
    """Return what happened within the last hour and the last day."""
    now = database_now(session)
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


def _waiting(session: Session, since: InstrumentedAttribute[Any], *conditions: Any) -> PendingCount:
    query = select(func.count(), func.min(since)).where(*conditions)
    return PendingCount(*session.execute(query).one())


def _without_policy(session: Session) -> dict[str, PendingCount]:
    query = (
        select(SubmissionRow.policy, func.count(), func.min(SubmissionRow.created_at))
        .where(WAITING_FOR_POLICY)
        .group_by(SubmissionRow.policy)
    )
    return {
        policy or "": PendingCount(count, oldest_at) for policy, count, oldest_at in session.execute(query)
    }


def _waiting_for(session: Session) -> dict[str, PendingCount]:
    query = (
        select(SubmissionRow.waits_for, func.count(), func.min(SubmissionRow.created_at))
        .where(WAITING)
        .group_by(SubmissionRow.waits_for)
        .order_by(SubmissionRow.waits_for)
    )
    return {str(resource): PendingCount(count, oldest) for resource, count, oldest in session.execute(query)}


def why_waiting(session: Session, resource: str) -> str:
    """Return why a resource is unavailable: the error of the submission that has waited for it longest."""
    query = (
        select(SubmissionRow.error)
        .where(WAITING, SubmissionRow.waits_for == resource)
        .order_by(SubmissionRow.created_at)
        .limit(1)
    )
    return session.scalar(query) or ""


def _open_reviews(session: Session) -> dict[ReviewKind, PendingCount]:
    query = (
        select(ReviewRow.kind, func.count(), func.min(ReviewRow.created_at))
        .where(IS_OPEN)
        .group_by(ReviewRow.kind)
    )
    found = {kind: PendingCount(count, oldest_at) for kind, count, oldest_at in session.execute(query)}
    return {kind: found.get(kind, PendingCount()) for kind in ReviewKind}


def _decisions(session: Session, now: datetime) -> dict[Action, Lately]:
    # All actions are named, so that the index by action and time covers the query.
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
    """Return `query` with two more columns: the number of rows of the last hour and of the last day."""
    return query.add_columns(func.count().filter(at >= now - HOUR), func.count()).where(at >= now - DAY)
