"""Reads files below a folder, and nothing else, whatever path or link a job brings."""

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from worker.errors import (
    SourceError,
    SourceMissingError,
    SourceNotAllowedError,
    UnavailableError,
)
from worker.images.limits import Limits

#: A FIFO opened without O_NONBLOCK waits for a writer for ever. Links were followed before, under our eyes.
_OPEN_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY
_FOLDER_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_DIRECTORY

#: Failures of this process, not of the picture: the same read can succeed later.
_SHORTAGES: Final = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}


@dataclass(frozen=True, slots=True)
class LocalFolder:
    """A folder that reads never leave."""

    root: Path
    limits: Limits
    #: What people call it, and how it is set.
    name: str = "the media root"
    setting: str = "MODERATION_MEDIA_ROOT"

    def read(self, path: str) -> bytes:
        """Return the encoded picture at `path` below the folder, at most `limits.max_bytes` long.

        SourceNotAllowedError where the path leads outside or to no regular file, SourceMissingError where
        there is nothing, SourceError where it cannot be read, UndecodablePictureError where it is too
        large, UnavailableError where the folder is away.
        """
        self._check_relative(path)
        root = self._resolved_root()
        try:
            return self._read_open(_open_beneath(root, self._resolve_beneath(root, path)), path)
        except OSError as problem:
            raise self._source_error(path, problem) from problem

    def _resolved_root(self) -> Path:
        # A disk that is not mounted must not decide about every upload that waits: retried, not refused.
        try:
            root = self.root.resolve(strict=True)
        except (OSError, RuntimeError) as problem:
            raise self._root_is_away() from problem
        if not root.is_dir():
            raise self._root_is_away()
        return root

    def _root_is_away(self) -> UnavailableError:
        return UnavailableError(
            f"{self.name} {self.root} is not there, or is no folder",
            hint=f"create or mount it, or set {self.setting} to the folder that producers write to",
        )

    def _read_open(self, descriptor: int, path: str) -> bytes:
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise SourceNotAllowedError(f"{path!r} is not a regular file")
            self.limits.check_bytes(status.st_size)
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                # One more than allowed: a file that grows while it is read is noticed.
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
        """Follow the links of `path` and return where it ends, relative to `root`."""
        try:
            target = (root / path).resolve(strict=True)
        except (RuntimeError, ValueError) as problem:
            # Python 3.11 raises RuntimeError at a loop of links, and ValueError at a NUL or a lone surrogate.
            raise SourceNotAllowedError(f"{path!r} names no file: {problem}") from problem
        if not target.is_relative_to(root):
            raise SourceNotAllowedError(f"{path!r} is a link that leads out of {self.name}")
        return target.relative_to(root)

    def _source_error(self, path: str, problem: OSError) -> SourceError | UnavailableError:
        reason = (problem.strerror or str(problem)).lower()
        if problem.errno in _SHORTAGES:
            return UnavailableError(f"{path!r} cannot be read now: {reason}")
        if problem.errno in {errno.ENOENT, errno.ENOTDIR}:
            return SourceMissingError(f"there is no file {path!r} below {self.name}")
        if problem.errno in {errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO}:
            return SourceNotAllowedError(f"{path[:200]!r} is not a file that is read here: {reason}")
        return SourceError(f"{path!r} cannot be read: {reason}")


def _open_beneath(root: Path, target: Path) -> int:
    """Open `target` step by step below `root`, following no link, and return its descriptor.

    A folder or file that somebody swaps for a link after it was checked makes this fail, not escape.
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
