"""The audit sample: allowed pictures that people review anyway, drawn reproducibly."""

import hashlib

from worker.domain.moderation.decision import Decision
from worker.domain.policies.policy import Action, Policy


def audit_probability(policy: Policy, decision: Decision) -> float | None:
    """Return the probability of drawing this decision; None if it cannot be drawn.

    It is recorded: an estimate of what was missed weights each drawn picture by 1 / its probability
    (Horvitz and Thompson 1952, "A Generalization of Sampling Without Replacement from a Finite Universe").
    """
    allowed = decision.action is Action.ALLOW
    return policy.share_of_allowed if allowed and policy.share_of_allowed > 0 else None


def is_drawn(policy_name: str, submission_id: str, probability: float | None) -> bool:
    """Whether a submission is in the sample: deterministic, and the same in every process."""
    if probability is None:
        return False
    digest = hashlib.sha256(f"audit\n{policy_name}\n{submission_id}".encode()).digest()
    return int.from_bytes(digest[:8]) < probability * 2**64
