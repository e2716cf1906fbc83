"""Reads policies from the database so that each version means what it meant when it was stored."""

from contextlib import suppress
from pathlib import Path

from worker.domain.policies.policy import Policy
from worker.domain.policies.stored_policy import StoredPolicy
from worker.errors import InvalidPolicyError
from worker.policy_files.parser import parse_policy


def parse_stored(stored: StoredPolicy, file: Path | str) -> Policy:
    """Return the policy of a stored text; errors as of `parse_policy`.

    Rules that came after it do not count, and its phrases are spelt as they were then: the digest says which
    spelling that was.
    """
    before = parse_policy(stored.text, file, was_in_force=True)
    if before.digest != stored.digest:
        with suppress(InvalidPolicyError):
            now = parse_policy(stored.text, file)
            if now.digest == stored.digest:
                return now
    return before
