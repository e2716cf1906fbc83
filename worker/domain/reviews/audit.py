"""The audit sample: allowed pictures that people see all the same, drawn so that anyone can draw it again."""

import hashlib

from worker.domain.moderation.decision import Decision
from worker.domain.policies.policy import Action, Policy


def audit_probability(policy: Policy, decision: Decision) -> float | None:
    """Return the chance with which this decision was to be drawn; None where none is ever drawn.

    It belongs to the record: an estimate of what was missed weighs each drawn picture by 1 / its chance
    (Horvitz and Thompson 1952, "A Generalization of Sampling Without Replacement from a Finite Universe").
    """
    allowed = decision.action is Action.ALLOW
    return policy.share_of_allowed if allowed and policy.share_of_allowed > 0 else None


def is_drawn(policy_name: str, submission_id: str, probability: float | None) -> bool:
    """Whether a submission is in the sample: the same answer every time, and in every process."""
    if probability is None:
        return False
    digest = hashlib.sha256(f"audit\n{policy_name}\n{submission_id}".encode()).digest()
    return int.from_bytes(digest[:8]) < probability * 2**64
