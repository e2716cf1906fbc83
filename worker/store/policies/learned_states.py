"""Learned states: what policies learned from verdicts, and which of them is in force."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from worker.domain.policies.stored_policy import LearnedThresholds
from worker.store.engine import inserting
from worker.store.engine.tables import LearnedChangeRow, LearnedStateRow

#: Thresholds by label: for review and for blocks; None: as the policy's file says.
Thresholds = Mapping[str, tuple[float | None, float | None]]


@dataclass(frozen=True, slots=True)
class LearnedState:
    """A proposal, without the vectors in it."""

    digest: str
    policy: str
    #: The version for which it was proposed.
    policy_digest: str
    model_digest: str
    thresholds: LearnedThresholds
    figures: Mapping[str, Any]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class LearnedChange:
    """A change of what is in force."""

    policy: str
    #: None: nothing learned applies from now on.
    learned_digest: str | None
    author: str
    created_at: datetime


def keep(session: Session, state: bytes, description: LearnedState) -> None:
    """Store a proposal, except if it exists."""
    thresholds = {label: [review, block] for label, review, block in description.thresholds.thresholds}
    row = {
        "digest": description.digest,
        "policy": description.policy,
        "policy_digest": description.policy_digest,
        "model_digest": description.model_digest,
        "state": state,
        "thresholds": thresholds,
        "figures": dict(description.figures),
        "created_at": description.created_at,
    }
    inserting.keep(session, LearnedStateRow, [row])


def state_of(session: Session, digest: str) -> bytes | None:
    """Return the bytes of a state; None if it is unknown."""
    return session.scalar(select(LearnedStateRow.state).where(LearnedStateRow.digest == digest))


def latest(session: Session, policy: str) -> LearnedState | None:
    """Return the newest proposal for a policy."""
    return _one(session, LearnedStateRow.policy == policy)


def find(session: Session, digest: str) -> LearnedState | None:
    """Return the proposal with this digest."""
    return _one(session, LearnedStateRow.digest == digest)


def change(session: Session, policy: str, learned_digest: str | None, author: str) -> None:
    """Put a state in force, or None: nothing learned applies from now on."""
    session.add(LearnedChangeRow(policy=policy, learned_digest=learned_digest, author=author))
    session.flush()


def changes(session: Session, policy: str, limit: int) -> list[LearnedChange]:
    """Return the latest changes of a policy, newest first."""
    query = select(LearnedChangeRow).where(LearnedChangeRow.policy == policy)
    rows = session.scalars(query.order_by(LearnedChangeRow.id.desc()).limit(limit))
    return [LearnedChange(row.policy, row.learned_digest, row.author, row.created_at) for row in rows]


def in_force(session: Session) -> dict[str, LearnedState]:
    """Return the state in force of each policy that has one, by the policy's name."""
    latest_change = (
        select(LearnedChangeRow.learned_digest)
        .where(LearnedChangeRow.policy == LearnedStateRow.policy)
        .order_by(LearnedChangeRow.id.desc())
        .limit(1)
        .correlate(LearnedStateRow)
        .scalar_subquery()
    )
    query = select(*_DESCRIBED).where(LearnedStateRow.digest == latest_change)
    return {row.policy: _described(row) for row in session.execute(query)}


def learned_thresholds(digest: str, thresholds: Mapping[str, Any]) -> LearnedThresholds:
    """Return stored thresholds as versions carry them."""
    return LearnedThresholds(digest, tuple((name, *pair) for name, pair in sorted(thresholds.items())))


#: All but `state`, which is large.
_DESCRIBED = (
    LearnedStateRow.digest,
    LearnedStateRow.policy,
    LearnedStateRow.policy_digest,
    LearnedStateRow.model_digest,
    LearnedStateRow.thresholds,
    LearnedStateRow.figures,
    LearnedStateRow.created_at,
)


def _one(session: Session, condition: Any) -> LearnedState | None:
    query = select(*_DESCRIBED).where(condition).order_by(LearnedStateRow.created_at.desc()).limit(1)
    row = session.execute(query).one_or_none()
    return _described(row) if row else None


def _described(row: Any) -> LearnedState:
    return LearnedState(
        digest=row.digest,
        policy=row.policy,
        policy_digest=row.policy_digest,
        model_digest=row.model_digest,
        thresholds=learned_thresholds(row.digest, row.thresholds),
        figures=row.figures,
        created_at=row.created_at,
    )
