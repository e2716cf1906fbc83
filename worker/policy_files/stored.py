"""Parses policies from the database so that each version keeps the meaning it was stored with."""

from contextlib import suppress
from pathlib import Path

from worker.domain.policies.policy import Policy
from worker.domain.policies.stored_policy import StoredPolicy
from worker.errors import InvalidPolicyError
from worker.policy_files.parser import parse_policy


def parse_stored(stored: StoredPolicy, file: Path | str) -> Policy:
    """Return the policy of a stored text; errors as in `parse_policy`.

    Rules that were added later do not apply, and its phrases have the spelling of that time: the stored
    digest shows which.
    """
    before = parse_policy(stored.text, file, was_in_force=True)
    if before.digest != stored.digest:
        with suppress(InvalidPolicyError):
            now = parse_policy(stored.text, file)
            if now.digest == stored.digest:
                return now
    return before
