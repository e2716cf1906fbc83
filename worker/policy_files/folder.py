"""Which files of a folder are policies."""

from difflib import get_close_matches
from pathlib import Path
from typing import Final

from worker.errors import UsageError
from worker.policy_files.problems import quote

SUFFIXES: Final = (".yaml", ".yml")


def policy_files(folder: Path) -> list[Path]:
    """Return the policy files directly in `folder`, without the hidden ones that editors leave."""
    found = (path for path in folder.glob("*") if path.suffix in SUFFIXES and not path.name.startswith("."))
    return sorted(path for path in found if path.is_file())


def file_of(folder: Path, name: str) -> Path:
    """Return the file of the policy called `name`; UsageError where there is none."""
    files = {file.stem: file for file in policy_files(folder)}
    if name not in files:
        close = get_close_matches(name, files, n=1)
        guess = f"did you mean {quote(close[0])}? " if close else ""
        raise UsageError(
            f"there is no policy {quote(name)} in {folder}; there are: {', '.join(sorted(files)) or 'none'}",
            hint=f"{guess}MODERATION_POLICIES names the folder of the policy files",
        )
    return files[name]


def twin_of(file: Path) -> Path | None:
    """Return x.yaml for x.yml where there are both: one name, one policy."""
    twin = file.with_suffix(SUFFIXES[0])
    return twin if file != twin and twin.is_file() else None
