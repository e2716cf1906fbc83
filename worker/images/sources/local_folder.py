"""Reads files below a folder, and nothing outside it, whatever path or link a job names."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final

from worker.errors import (
    SourceError,
    SourceMissingError,
    SourceNotAllowedError,
    SourceNotReadyError,
    SourceUnavailableError,
)
from worker.images.limits import Limits
from worker.images.sources.witness import LastRead, Witness

#: Opening a FIFO without O_NONBLOCK blocks until it has a writer. Links were resolved and checked before.
_OPEN_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY
_FOLDER_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_DIRECTORY

#: Failures of this process or machine, not of the picture: the same read can succeed later.
SHORTAGES: Final = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.ENOBUFS, errno.ENOLCK}
#: Directory entries that are inspected to find another picture.
_ENTRIES: Final = 100


@dataclass(frozen=True, slots=True)
class LocalFolder:
    """A folder; reads cannot leave it."""

    root: Path
    limits: Limits
    #: Its name in messages, and the setting that names it.
    name: str = "the media root"
    setting: str = "MODERATION_MEDIA_ROOT"
    _last: LastRead = field(default_factory=LastRead, repr=False, compare=False)

    def read(self, path: str) -> bytes:
        """Return the encoded picture at `path` below the folder, at most `limits.max_bytes` long.

        SourceNotAllowedError if the path leads outside or is not a regular file, SourceMissingError if there
        is no such file, SourceNotReadyError if it cannot be read but another one can,
        UndecodablePictureError if it is too large, SourceUnavailableError if the folder as a whole cannot be
        read.
        """
        self._check_relative(path)
        root = self._resolved_root()
        try:
            data = self._read_open(_open_beneath(root, self._resolve_beneath(root, path)), path)
        except OSError as problem:
            raise self._source_error(root, path, problem) from problem
        self._last.name = path
        return data

    def _resolved_root(self) -> Path:
        # If the disk is not mounted, pending uploads are retried, not refused.
        try:
            root = self.root.resolve(strict=True)
        except (OSError, RuntimeError) as problem:
            raise self._unavailable("is not there") from problem
        if not root.is_dir():
            raise self._unavailable("is not a folder")
        return root

    def _unavailable(self, why: str) -> SourceUnavailableError:
        return SourceUnavailableError(
            self.name,
            f"{self.name} {self.root} {why}",
            hint=f"create or mount it, or set {self.setting} to the folder that producers write to",
        )

    def _read_open(self, descriptor: int, path: str) -> bytes:
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise SourceNotAllowedError(f"{path!r} is not a regular file")
            self.limits.check_bytes(status.st_size)
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                # One byte more than allowed, to notice a file that grows while it is read.
                data = file.read(self.limits.max_bytes + 1)
        finally:
            os.close(descriptor)
        self.limits.check_bytes(len(data))
        return data

    def _check_relative(self, path: str) -> None:
        parts = Path(path)
        if parts.is_absolute():
            raise SourceNotAllowedError(f"{path!r} is absolute; paths are relative to {self.name}")
        if ".." in parts.parts:
            raise SourceNotAllowedError(f"{path!r} climbs with '..'; paths stay below {self.name}")

    def _resolve_beneath(self, root: Path, path: str) -> Path:
        """Resolve the links of `path` and return the target, relative to `root`."""
        try:
            target = (root / path).resolve(strict=True)
        except (RuntimeError, ValueError) as problem:
            # Python 3.11 raises RuntimeError for a loop of links, ValueError for a NUL or a lone surrogate.
            raise SourceNotAllowedError(f"{path!r} names no file: {problem}") from problem
        if not target.is_relative_to(root):
            raise SourceNotAllowedError(f"{path!r} is a link that leads out of {self.name}")
        return target.relative_to(root)

    def _source_error(self, root: Path, path: str, problem: OSError) -> SourceError | SourceUnavailableError:
        reason = _reason(problem)
        if problem.errno in {errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO}:
            return SourceNotAllowedError(f"{path[:200]!r} cannot be read here: {reason}")
        is_missing = problem.errno in {errno.ENOENT, errno.ENOTDIR}
        if problem.errno in SHORTAGES:
            return self._unavailable(f"cannot be read now: {reason}")
        witness = Witness(lambda name: _peek(root, name), lambda: _some_files(root), self._last)
        if wrong := witness.problem(path, missing=is_missing):
            why = _reason(wrong) if is_missing else f"{reason}, and {_reason(wrong)}"
            return self._unavailable(f"cannot be read: {why}")
        if is_missing:
            return SourceMissingError(f"there is no file {path!r} below {self.name}")
        return SourceNotReadyError(f"{path!r} cannot be read: {reason}")


def _open_beneath(root: Path, target: Path) -> int:
    """Open `target` component by component below `root`, following no link, and return its descriptor.

    Fails, instead of leaving `root`, if a folder or file was replaced by a link after it was checked.
    """
    *folders, name = target.parts or (".",)
    folder = os.open(root, _FOLDER_FLAGS)
    try:
        for part in folders:
            inner = os.open(part, _FOLDER_FLAGS, dir_fd=folder)
            os.close(folder)
            folder = inner
        return os.open(name, _OPEN_FLAGS, dir_fd=folder)
    finally:
        os.close(folder)


def _peek(root: Path, name: str) -> None:
    descriptor = _open_beneath(root, Path(name))
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.read(descriptor, 1)
    finally:
        os.close(descriptor)


def _some_files(root: Path) -> list[str]:
    """Return a few files below `root`, or other entries if it has no files; [] only if it is empty."""
    with os.scandir(root) as entries:
        at_top = [entry.name for entry in islice(entries, 2)]
    return list(islice(_files_below(root), 2)) or at_top


def _files_below(root: Path) -> Iterator[str]:
    folders, inspected = [Path()], 0
    while folders and inspected < _ENTRIES:
        folder = folders.pop(0)
        with suppress(OSError), os.scandir(root / folder) as entries:
            for entry in islice(entries, _ENTRIES):
                inspected += 1
                if entry.is_dir(follow_symlinks=False):
                    folders.append(folder / entry.name)
                elif entry.is_file(follow_symlinks=False):
                    yield (folder / entry.name).as_posix()


def _reason(problem: Exception) -> str:
    return (getattr(problem, "strerror", None) or str(problem)).lower()
