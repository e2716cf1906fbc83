"""Finds the policy version behind a recorded decision, and the queue that it routes reviews to."""

from datetime import datetime
from functools import lru_cache

from sqlalchemy.orm import Session

from worker.domain.moderation.decision import Decision
from worker.domain.policies.policy import DEFAULT_QUEUE, Policy
from worker.domain.policies.stored_policy import StoredPolicy
from worker.domain.reviews.review import UNHURRIED, Routing, order_of, place_in_queue
from worker.errors import InvalidPolicyError
from worker.policy_files.stored import parse_stored
from worker.store.decisions.decisions import RecordedDecision
from worker.store.policies import policy_versions


def policy_behind(session: Session, decision: RecordedDecision) -> Policy | None:
    """Return the version that decided; None if its text can no longer be parsed."""
    stored = policy_versions.find(session, decision.policy_digest)
    return _parsed(stored, decision.policy) if stored else None


def place_again(session: Session, decision: RecordedDecision, now: datetime) -> Routing:
    """Return the queue and the priority of another review of a decision, as its policy routes it now."""
    policy = policy_behind(session, decision)
    if policy is None:
        return Routing(DEFAULT_QUEUE, order_of(decision.severity, now + UNHURRIED), None)
    decided = Decision(decision.action, decision.reason, decision.scores, decision.flagged, decision.severity)
    return place_in_queue(policy, decided, now)


@lru_cache(maxsize=64)
def _parsed(stored: StoredPolicy, name: str) -> Policy | None:
    """Return the policy of a text; cached, since every verdict needs one of a few versions."""
    try:
        return parse_stored(stored, f"{name}.yaml")
    except InvalidPolicyError:
        return None
