"""Stores pictures uploaded over HTTP below the media root: atomically, and only while they are needed."""

import hashlib
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

from worker.errors import UnavailableError
from worker.images.limits import Limits

#: The folder of uploads over HTTP; the rest of the media root belongs to the platform.
FOLDER: Final = "web"
_INCOMING: Final = ".incoming"
#: One note for each stored picture that is not known to be in the ledger.
_PENDING: Final = ".pending"
#: Files that are incoming or pending for longer were left by a process that died or a request that failed.
ABANDONED_SECONDS: Final = 15 * 60


class IncomingPicture:
    """A file that is being received chunk by chunk, within the limit."""

    def __init__(self, path: Path, file: BinaryIO, limits: Limits) -> None:
        self.path = path
        self.size = 0
        self._file = file
        self._limits = limits
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """SHA-256 of the bytes received so far, in hexadecimal."""
        return self._digest.hexdigest()

    def write(self, data: bytes) -> None:
        """Append `data`; UndecodablePictureError beyond the limit, UnavailableError if the disk fails."""
        self.size += len(data)
        self._limits.check_bytes(self.size)
        self._digest.update(data)
        with _disk_failures():
            self._file.write(data)

    def finish(self) -> None:
        """Flush to the disk: a picture must be durable before its submission is accepted."""
        with _disk_failures():
            self._file.flush()
            os.fsync(self._file.fileno())


@dataclass(frozen=True, slots=True)
class KeptPicture:
    """A picture stored below the media root whose submission is not yet accepted."""

    #: Relative to the media root.
    path: str
    submission_id: str


@dataclass(frozen=True, slots=True)
class Uploads:
    """The part of the media root that this service writes."""

    media_root: Path
    limits: Limits

    @contextmanager
    def receiving(self) -> Iterator[IncomingPicture]:
        """Yield a file to receive a picture in; it is deleted afterwards unless it was kept."""
        folder = self.media_root / FOLDER / _INCOMING
        path = folder / secrets.token_hex(16)
        with _disk_failures():
            folder.mkdir(parents=True, exist_ok=True)
            file = path.open("xb")
        try:
            # Closing writes what is buffered, and fails if the disk is full.
            with _disk_failures(), file:
                yield IncomingPicture(path, file, self.limits)
        finally:
            path.unlink(missing_ok=True)

    def keep(self, picture: IncomingPicture, submission_id: str) -> KeptPicture:
        """Move a received picture to its final path; it stays pending until it is confirmed or discarded.

        Names are unique, so that deleting one picture never deletes that of another request.
        """
        name = secrets.token_hex(20)
        kept = KeptPicture(f"{FOLDER}/{datetime.now(UTC):%Y/%m/%d}/{name}", submission_id)
        picture.finish()
        with _disk_failures():
            note = self._note(kept)
            note.parent.mkdir(parents=True, exist_ok=True)
            note.write_text(f"{submission_id}\n{kept.path}\n", encoding="utf-8")
            (self.media_root / kept.path).parent.mkdir(parents=True, exist_ok=True)
            picture.path.replace(self.media_root / kept.path)
        return kept

    def confirm(self, kept: KeptPicture) -> None:
        """Mark a picture as referenced by the ledger."""
        with _disk_failures():
            self._note(kept).unlink(missing_ok=True)

    def discard(self, kept: KeptPicture) -> None:
        """Delete a picture that the ledger does not reference."""
        with _disk_failures():
            (self.media_root / kept.path).unlink(missing_ok=True)
            self._note(kept).unlink(missing_ok=True)

    def abandoned(self) -> list[KeptPicture]:
        """Return the pictures that are pending for too long; delete those that are incoming for too long."""
        for path in _older(self.media_root / FOLDER / _INCOMING):
            with suppress(OSError):
                path.unlink()
        return [kept for note in _older(self.media_root / FOLDER / _PENDING) if (kept := _parse_note(note))]

    def _note(self, kept: KeptPicture) -> Path:
        return self.media_root / FOLDER / _PENDING / Path(kept.path).name


def _older(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder that are too old to be still in use."""
    for path in folder.glob("*"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                yield path


def _parse_note(note: Path) -> KeptPicture | None:
    """Parse a note; if its writer died before it was complete, delete it and return None."""
    with suppress(OSError):
        submission_id, _, rest = note.read_text(encoding="utf-8").partition("\n")
        path = rest.removesuffix("\n")
        if rest.endswith("\n") and Path(path).name == note.name:
            return KeptPicture(path, submission_id)
        note.unlink()
    return None


@contextmanager
def _disk_failures() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UnavailableError(
            f"the media root cannot take uploads: {error}",
            hint="MODERATION_MEDIA_ROOT must be a folder that this user can write to, with free space",
        ) from error
