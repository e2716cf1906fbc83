"""Whether a policy may be asked for, by the files of the policy folder: what a producer can know at once."""

from functools import lru_cache
from pathlib import Path

from worker.errors import InvalidPolicyError, UsageError
from worker.policy_files.folder import file_of
from worker.policy_files.parser import read_policy
from worker.policy_files.problems import quote


def require_policy(folder: Path, name: str) -> None:
    """Raise UsageError where `folder` has no policy called `name`, or has it as a shadow.

    Where there is no such folder the workers' word counts; so it does on a file with problems, since they
    judge by its last good version.
    """
    if not folder.is_dir():
        return
    file = file_of(folder, name)
    if _is_shadow(file):
        raise UsageError(
            f"the policy {quote(name)} is a shadow, which decides nothing",
            hint=f"it decides once {file} no longer says `shadow: true`",
        )


def _is_shadow(file: Path) -> bool:
    try:
        found = file.stat()
    except OSError:
        return False
    return _says_shadow(file, (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino))


@lru_cache(maxsize=256)
def _says_shadow(file: Path, _version: tuple[int, ...]) -> bool:
    """Whether a version of a file is a shadow; parsed once, not for every submission that names it."""
    try:
        policy, _ = read_policy(file, with_pictures=False)
    except InvalidPolicyError:
        return False
    return policy.shadow
