"""Makes a folder that is there whole or not at all."""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from worker.errors import UsageError


def check_free(folder: Path) -> None:
    """Raise UsageError where `folder` is a file, holds anything, is mounted, or would stand in no folder."""
    if folder.is_mount():
        raise UsageError(
            f"{folder} is where something is mounted, and can take no new name",
            hint=f"name a new folder in it: {folder / 'model'}",
        )
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.exists() or folder.is_symlink():
        raise UsageError(f"{folder} is there already", hint="name a new folder; nothing is overwritten")
    if not folder.resolve().parent.is_dir():
        raise UsageError(f"there is no folder {folder.resolve().parent} for {folder.name} to stand in")


@contextmanager
def appearing(folder: Path) -> Iterator[Path]:
    """Yield a hidden folder beside `folder` that takes its name at the end; whatever goes wrong removes it.

    UsageError where `folder` is taken or the place cannot be written to.
    """
    check_free(folder)
    target = folder.resolve()
    hidden = target.parent / f".{target.name}.{secrets.token_hex(4)}"
    try:
        hidden.mkdir()
    except OSError as problem:
        raise UsageError(f"{target.parent} cannot be written to: {problem.strerror}") from problem
    try:
        yield hidden
        _rename(hidden, target)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def _rename(hidden: Path, target: Path) -> None:
    try:
        # An empty folder of this name gives way.
        hidden.rename(target)
    except OSError as problem:
        raise UsageError(f"{target} cannot be written: {problem.strerror or problem}") from problem
