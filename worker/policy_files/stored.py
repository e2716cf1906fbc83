"""Parses policies from the database so that each version keeps the meaning it was stored with."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from worker.domain.policies.policy import Policy, Scoring
from worker.domain.policies.stored_policy import StoredPolicy
from worker.errors import InvalidPolicyError
from worker.policy_files.parser import parse_policy


def parse_stored(stored: StoredPolicy, file: Path | str) -> Policy:
    """Return the policy of a stored text; errors as in `parse_policy`.

    Rules that were added later do not apply, and its phrases have the spelling of that time, as its scores
    have the rule of that time: the stored digest shows which.
    """
    before = parse_policy(stored.text, file, was_in_force=True)
    if found := _with_digest(stored, before):
        return found
    with suppress(InvalidPolicyError):
        if found := _with_digest(stored, parse_policy(stored.text, file)):
            return found
    return before.with_learned(stored.learned)


def _with_digest(stored: StoredPolicy, policy: Policy) -> Policy | None:
    """Return the policy with what it had learned, and the scoring rule that gives it the stored digest."""
    versions = (replace(policy, scoring=rule).with_learned(stored.learned) for rule in Scoring)
    return next((version for version in versions if version.digest == stored.digest), None)
