"""Creates a folder atomically: complete or not at all."""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from worker.errors import UsageError


def check_free(folder: Path) -> None:
    """Raise UsageError if `folder` is a file, is not empty, is mounted, or has no parent folder."""
    try:
        _check_free(folder)
    except OSError as problem:
        # The name is too long, or the parent folder may not be entered.
        raise cannot_be_written(folder, problem) from problem


def _check_free(folder: Path) -> None:
    target = folder.resolve()
    if target == Path.cwd():
        raise UsageError(
            f"{folder} is the current folder", hint=f"name a new folder in it: {folder / 'model'}"
        )
    if target.is_mount():
        raise UsageError(
            f"{folder} is the root of a mounted file system, and cannot be replaced",
            hint=f"name a new folder in it: {folder / 'model'}",
        )
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.exists() or folder.is_symlink():
        raise UsageError(f"{folder} is there already", hint="name a new folder; nothing is overwritten")
    if not target.parent.is_dir():
        raise UsageError(f"there is no folder {target.parent} to create {folder.name} in")


@contextmanager
def appearing(folder: Path) -> Iterator[Path]:
    """Yield a hidden folder beside `folder`, renamed to it at the end, or removed if the block raises.

    UsageError if `folder` is not free or its parent cannot be written to.
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
        take_name(hidden, target)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def take_name(hidden: Path, target: Path) -> None:
    """Rename a complete hidden folder; UsageError if its name was taken since the start."""
    try:
        # Replaces an empty folder of this name.
        hidden.rename(target)
    except OSError as problem:
        raise cannot_be_written(target, problem) from problem


def cannot_be_written(folder: Path, problem: OSError) -> UsageError:
    """Return the error for a folder that cannot be written."""
    return UsageError(
        f"{folder} cannot be written: {problem.strerror or problem}", hint="name another new folder"
    )
