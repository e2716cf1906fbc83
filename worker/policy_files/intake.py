"""Checks a submission's policy name against the policy folder, before any worker sees it."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from worker.domain.policies.policy import Policy
from worker.domain.policies.stored_policy import StoredPolicy
from worker.errors import InvalidPolicyError, UsageError
from worker.policy_files.parser import read_policy
from worker.policy_files.stored import parse_stored
from worker.policy_files.yaml_text.folder import file_of
from worker.policy_files.yaml_text.problems import quote


def require_policy(
    folder: Path, name: str, last_good: Callable[[str], StoredPolicy | None] | None = None
) -> None:
    """Raise UsageError if `folder` has no policy called `name`, or it is a shadow, or it was never valid.

    If the folder does not exist, the check is left to the workers. They judge by the last good version of a
    file with problems, which `last_good` returns. Without `last_good`, such a version is assumed to exist.
    """
    if not folder.is_dir():
        return
    file = file_of(folder, name)
    policy = _read(file, last_good)
    if policy and policy.shadow:
        raise UsageError(
            f"the policy {quote(name)} is a shadow, which decides nothing",
            hint=f"it decides once {file} no longer says `shadow: true`",
        )


def policy_saved_at(folder: Path, name: str) -> datetime:
    """Return when the file of a policy was last saved; now if it does not exist."""
    try:
        return datetime.fromtimestamp(file_of(folder, name).stat().st_mtime, UTC)
    except (OSError, UsageError):
        return datetime.now(UTC)


def _read(file: Path, last_good: Callable[[str], StoredPolicy | None] | None) -> Policy | None:
    """Return the version that decides, or will decide; None if it is not known here."""
    found = _read_version(file, _version_of(file))
    if isinstance(found, Policy):
        return found
    if last_good is None:
        return None
    stored = last_good(file.stem)
    if stored is None:
        raise UsageError(
            f"the policy {quote(file.stem)} has never been in force, and its file has problems",
            hint=f"moderate policy check {file}",
        ) from found
    with suppress(InvalidPolicyError):
        return parse_stored(stored, file)
    return None


def _version_of(file: Path) -> tuple[int, ...]:
    try:
        found = file.stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


@lru_cache(maxsize=256)
def _read_version(file: Path, _version: tuple[int, ...]) -> Policy | InvalidPolicyError:
    """Return the policy of one version of a file, or its problems; cached, not parsed for each submission."""
    try:
        return read_policy(file, with_pictures=False)[0]
    except InvalidPolicyError as problem:
        return problem
