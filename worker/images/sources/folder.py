"""Finds the files that a command line names, directly or by their folder."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from worker.errors import UsageError


def find_files(paths: Iterable[Path]) -> list[Path]:
    """Return the named files and those below the named folders, sorted within a folder, without duplicates.

    Hidden files inside folders are skipped. UsageError names every path that does not exist.
    """
    try:
        return _find(list(paths))
    except OSError as error:
        raise UsageError(f"{error.filename}: {error.strerror}") from None


def _find(named: list[Path]) -> list[Path]:
    missing = [str(path) for path in named if not path.exists()]
    if missing:
        raise UsageError(f"no such file or folder: {', '.join(missing)}")
    files = list(dict.fromkeys(file for path in named for file in files_below(path)))
    if not files:
        raise UsageError(f"no files in {', '.join(map(str, named))}")
    return files


def files_below(path: Path) -> Iterator[Path]:
    """Yield a file itself, or the files below a folder, sorted, without hidden ones."""
    if not path.is_dir():
        yield path
        return
    for entry in sorted(path.rglob("*")):
        hidden = any(part.startswith(".") for part in entry.relative_to(path).parts)
        if not hidden and entry.is_file():
            yield entry
