"""Shadow decisions: what shadow policies would have decided; only reports read them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, exists, func, select
from sqlalchemy.orm import Session

from worker.domain.moderation.decision import Decision
from worker.domain.policies.policy import Action, Policy
from worker.store.engine import inserting
from worker.store.engine.tables import DecisionRow, PolicyVersionRow, ShadowDecisionRow, SubmissionRow


@dataclass(frozen=True, slots=True)
class ShadowDecision:
    """What a shadow would have decided about a submission, and the decision that was made."""

    submission_id: str
    decision_id: int
    policy: Policy
    would_be: Decision


@dataclass(frozen=True, slots=True)
class ShadowVersion:
    """A version of a shadow, how many jobs it judged, and when; UTC."""

    policy: str
    digest: str
    jobs: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Difference:
    """A submission that a shadow would have decided differently."""

    submission_id: str
    reference: str
    #: The policy that decided, and its action.
    decided_by: str
    decided: Action
    would_be: Action
    #: The shadow's.
    reason: str
    created_at: datetime


def keep(session: Session, decided: Sequence[ShadowDecision]) -> None:
    """Write shadow decisions; their submissions, decisions and policy versions have to exist."""
    rows = [
        {
            "submission_id": one.submission_id,
            "decision_id": one.decision_id,
            "policy": one.policy.name,
            "policy_digest": one.policy.digest,
            "action": one.would_be.action,
            "labels": list(one.would_be.flagged),
            "severity": one.would_be.severity,
            "reason": one.would_be.reason,
        }
        for one in decided
    ]
    inserting.keep(session, ShadowDecisionRow, rows)


def names(session: Session) -> list[str]:
    """Return the names of all policies that ever judged a job as a shadow."""
    # Read from the versions, which are few, not from the shadow decisions, one for each picture.
    is_shadow = exists().where(ShadowDecisionRow.policy == PolicyVersionRow.name)
    query = select(PolicyVersionRow.name).distinct().where(is_shadow).order_by(PolicyVersionRow.name)
    return list(session.scalars(query))


def versions(session: Session, *, name: str | None, since: datetime) -> list[ShadowVersion]:
    """Return the versions that judged jobs since then, of one policy or all: by name, the latest first."""
    last_at = func.max(ShadowDecisionRow.created_at)
    query = (
        select(
            ShadowDecisionRow.policy,
            ShadowDecisionRow.policy_digest,
            func.count(),
            func.min(ShadowDecisionRow.created_at),
            last_at,
        )
        .where(ShadowDecisionRow.created_at >= since)
        .group_by(ShadowDecisionRow.policy, ShadowDecisionRow.policy_digest)
        .order_by(ShadowDecisionRow.policy, last_at.desc())
    )
    # Always by name, with which the index by time begins.
    query = query.where(ShadowDecisionRow.policy.in_([name] if name is not None else names(session)))
    return [ShadowVersion(*row) for row in session.execute(query)]


def actions(session: Session, version: ShadowVersion, since: datetime) -> dict[tuple[Action, Action], int]:
    """Return the number of submissions by action taken and action that the shadow would have taken."""
    query = (
        select(DecisionRow.action, ShadowDecisionRow.action, func.count())
        .join(DecisionRow, DecisionRow.id == ShadowDecisionRow.decision_id)
        .where(*_of(version, since))
        .group_by(DecisionRow.action, ShadowDecisionRow.action)
    )
    return {(taken, would_be): count for taken, would_be, count in session.execute(query)}


def labels(session: Session, version: ShadowVersion, since: datetime) -> Counter[str]:
    """Return the number of pictures on which the shadow would have flagged each label."""
    query = (
        select(ShadowDecisionRow.labels)
        .where(*_of(version, since), ShadowDecisionRow.severity > 0)
        .execution_options(yield_per=1000)
    )
    return Counter(label for flagged in session.scalars(query) for label in flagged)


def differences(session: Session, version: ShadowVersion, since: datetime, limit: int) -> list[Difference]:
    """Return at most `limit` submissions that the shadow would have decided differently, newest first."""
    query = (
        select(
            ShadowDecisionRow.submission_id,
            SubmissionRow.reference,
            DecisionRow.policy,
            DecisionRow.action,
            ShadowDecisionRow.action,
            ShadowDecisionRow.reason,
            ShadowDecisionRow.created_at,
        )
        .join(DecisionRow, DecisionRow.id == ShadowDecisionRow.decision_id)
        .join(SubmissionRow, SubmissionRow.id == ShadowDecisionRow.submission_id)
        .where(*_of(version, since), ShadowDecisionRow.action != DecisionRow.action)
        .order_by(ShadowDecisionRow.id.desc())
        .limit(limit)
    )
    return [Difference(*row) for row in session.execute(query)]


def _of(version: ShadowVersion, since: datetime) -> tuple[ColumnElement[bool], ...]:
    # The name too, since the index begins with it.
    return (
        ShadowDecisionRow.policy == version.policy,
        ShadowDecisionRow.policy_digest == version.digest,
        ShadowDecisionRow.created_at >= since,
    )
