"""Whether a policy may be asked for, by the files of the policy folder: what a producer can know at once."""

from difflib import get_close_matches
from pathlib import Path

from worker.errors import InvalidPolicyError, UsageError
from worker.policy_files.folder import policy_files
from worker.policy_files.parser import read_policy
from worker.policy_files.problems import quote


def require_policy(folder: Path, name: str) -> None:
    """Raise UsageError where `folder` has no policy called `name`, or has it as a shadow.

    Where there is no such folder the workers' word counts; so it does on a file with problems, since they
    judge by its last good version.
    """
    if not folder.is_dir():
        return
    files = {file.stem: file for file in policy_files(folder)}
    if name not in files:
        raise UsageError(
            f"there is no policy {quote(name)} in {folder}; there are: {', '.join(sorted(files)) or 'none'}",
            hint=_hint(name, files),
        )
    if _is_shadow(files[name]):
        raise UsageError(
            f"the policy {quote(name)} is a shadow, which decides nothing",
            hint=f"it decides once {files[name]} no longer says `shadow: true`",
        )


def _is_shadow(file: Path) -> bool:
    try:
        policy, _ = read_policy(file)
    except InvalidPolicyError:
        return False
    return policy.shadow


def _hint(name: str, known: dict[str, Path]) -> str:
    close = get_close_matches(name, known, n=1)
    guess = f"did you mean {quote(close[0])}? " if close else ""
    return f"{guess}MODERATION_POLICIES names the folder that the workers read"
