"""Resolves the two policies that a comparison names: a file, `live`, or a version's digest."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from worker.domain.policies.policy import Policy
from worker.errors import UsageError
from worker.policy_files.parser import read_policy
from worker.policy_files.stored import parse_stored
from worker.policy_files.yaml_text.folder import SUFFIXES, file_of
from worker.store.engine.database import Database
from worker.store.policies import policy_versions

#: Means the file in the policy folder that has the other policy's name.
LIVE: Final = "live"
_DIGEST_PREFIX: Final = re.compile(r"[0-9a-f]{6,64}")
_SHOWN_VERSIONS: Final = 5


@dataclass(frozen=True, slots=True)
class PickPolicies:
    """Resolve two names to policies."""

    folder: Path
    database: Database

    def __call__(self, old: str, new: str) -> tuple[Policy, Policy]:
        """Return both policies.

        UsageError if a name matches nothing or several versions, InvalidPolicyError if a file has problems.
        """
        if old == new == LIVE:
            raise UsageError(f"{LIVE} takes its name from the other policy", hint="name a file or a version")
        if old == LIVE:
            picked = self._pick(new)
            return self.named(picked.name), picked
        picked = self._pick(old)
        return picked, (self.named(picked.name) if new == LIVE else self._pick(new))

    def named(self, name: str) -> Policy:
        """Return the policy of this name from its current file; errors as in `__call__`."""
        return _read(file_of(self.folder, name))

    def file_or_name(self, word: str) -> Policy:
        """Return the policy of a file, or of this name from its current file; errors as in `__call__`."""
        return _read(Path(word)) if _is_file(word) else self.named(word)

    def _pick(self, word: str) -> Policy:
        if _is_file(word):
            return _read(Path(word))
        if _DIGEST_PREFIX.fullmatch(word):
            return self._version(word)
        raise UsageError(
            f"{word!r} is no policy: there is no such file",
            hint=f"name a policy file, {LIVE}, or at least 6 characters of a version's digest",
        )

    def _version(self, prefix: str) -> Policy:
        with self.database.reading() as session:
            found = policy_versions.starting_with(session, prefix, _SHOWN_VERSIONS)
        if not found:
            raise UsageError(
                f"no policy version begins with {prefix}",
                hint="every decision names its version: moderate decisions --json",
            )
        if len(found) > 1:
            listed = ", ".join(
                f"{one.stored.digest[:16]} ({one.name}, {one.first_seen_at:%Y-%m-%d})" for one in found
            )
            raise UsageError(f"several policy versions begin with {prefix}: {listed}", hint="name more of it")
        (version,) = found
        return parse_stored(version.stored, f"{version.name}.yaml")


def _is_file(word: str) -> bool:
    return Path(word).suffix in SUFFIXES or Path(word).is_file()


def _read(file: Path) -> Policy:
    # A draft in another folder need not have the pictures of its tests beside it.
    return read_policy(file, with_pictures=False)[0]
