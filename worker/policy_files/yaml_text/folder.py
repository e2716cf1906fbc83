"""Finds the policy files of a folder, and files that only look like policies."""

import re
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from worker.errors import UsageError
from worker.policy_files.yaml_text.problems import PolicyProblem, quote, render
from worker.printable import one_line

SUFFIXES: Final = (".yaml", ".yml")
_NO_SUFFIX: Final = "its name does not end in .yaml"
#: avatars.YAML, avatars.yaml.txt, avatars.yaml~, avatars.yaml.bak
_LOOKS_LIKE: Final = re.compile(r"(?P<stem>.+?)\.ya?ml(?![a-z]).*", re.IGNORECASE)


def policy_files(folder: Path) -> list[Path]:
    """Return the policy files directly in `folder`, without the hidden ones that editors leave."""
    found = (path for path in folder.glob("*") if path.suffix in SUFFIXES and not path.name.startswith("."))
    return sorted(path for path in found if path.is_file())


def strays(folder: Path) -> dict[Path, str]:
    """Return the paths in `folder` that look like policies but are not read, with the reason and a hint.

    A suffix in capitals, a second or a misspelt suffix; a folder, a broken symlink, a pipe.
    """
    read = set(policy_files(folder))
    found = (path for path in sorted(folder.glob("*")) if path not in read and not path.name.startswith("."))
    return {path: why for path in found if (why := _why_stray(path))}


def _why_stray(path: Path) -> str:
    """Return why a file that looks like a policy is not read; empty if it does not look like one."""
    if path.suffix in SUFFIXES:
        return f"it is {_what_else(path)}: put the file itself in its place"
    meant = _LOOKS_LIKE.match(path.name)
    if not path.is_file() or not (meant or get_close_matches(path.suffix.lower(), SUFFIXES, n=1, cutoff=0.8)):
        return ""
    stem = meant["stem"] if meant else path.stem
    policy = path.with_name(stem + SUFFIXES[0])
    if any(path.with_name(stem + suffix).is_file() for suffix in SUFFIXES):
        return f"{_NO_SUFFIX}: {one_line(policy.name)} is read, and this is not; remove it if it is a copy"
    return f"{_NO_SUFFIX}: rename it to {one_line(policy.name)} if it is a policy"


def _what_else(path: Path) -> str:
    """Name the kind of a path that is not a file."""
    if path.is_dir():
        return "a folder"
    return "neither a file nor a folder" if path.exists() else "a link that leads nowhere"


def file_of(folder: Path, name: str) -> Path:
    """Return the file of the policy called `name`; UsageError if it does not exist."""
    files = {file.stem: file for file in policy_files(folder)}
    if name not in files:
        close = get_close_matches(name, files, n=1)
        guess = f"did you mean {quote(close[0])}? " if close else ""
        raise UsageError(
            f"there is no policy {quote(name)} in {folder}; there are: {', '.join(sorted(files)) or 'none'}",
            hint=f"{guess}MODERATION_POLICIES names the folder of the policy files",
        )
    return files[name]


def twin_problem(file: Path) -> str:
    """Return the problem of x.yml beside x.yaml, which name one policy; empty if there is no twin."""
    twin = file.with_suffix(SUFFIXES[0])
    if file == twin or file.suffix not in SUFFIXES or not twin.is_file():
        return ""
    message = f"{twin.name} is the policy of this name already"
    return render(PolicyProblem(str(file), 0, 0, message, "remove one of the two files"))
