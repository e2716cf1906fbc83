"""Stores pictures that come over HTTP below the media root: whole, and no longer than they are needed."""

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

#: Below it lies what came over HTTP; the rest of the media root is the platform's.
FOLDER: Final = "web"
_INCOMING: Final = ".incoming"
#: A note for every picture that has its place, and is not known to be in the ledger.
_PENDING: Final = ".pending"
#: What is incoming or pending after this long belonged to a process that died, or to a request that failed.
ABANDONED_SECONDS: Final = 15 * 60


class IncomingPicture:
    """A file that is being received: grows chunk by chunk, under the limit."""

    def __init__(self, path: Path, file: BinaryIO, limits: Limits) -> None:
        self.path = path
        self.size = 0
        self._file = file
        self._limits = limits
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """Digest of what was received so far, in hexadecimal."""
        return self._digest.hexdigest()

    def write(self, data: bytes) -> None:
        """Add `data`; UndecodablePictureError where that is too much, UnavailableError of the disk."""
        self.size += len(data)
        self._limits.check_bytes(self.size)
        self._digest.update(data)
        with _disk_failures():
            self._file.write(data)

    def finish(self) -> None:
        """Bring everything to the disk: who promises to judge a picture has to have it."""
        with _disk_failures():
            self._file.flush()
            os.fsync(self._file.fileno())


@dataclass(frozen=True, slots=True)
class KeptPicture:
    """A picture that has its place below the media root, and waits to be accepted."""

    #: Below the media root.
    path: str
    submission_id: str


@dataclass(frozen=True, slots=True)
class Uploads:
    """The part of the media root that we write."""

    media_root: Path
    limits: Limits

    @contextmanager
    def receiving(self) -> Iterator[IncomingPicture]:
        """Yield a file to receive a picture in; gone afterwards, unless it was kept."""
        folder = self.media_root / FOLDER / _INCOMING
        path = folder / secrets.token_hex(16)
        with _disk_failures():
            folder.mkdir(parents=True, exist_ok=True)
            file = path.open("xb")
        try:
            # Closing writes too, where a disk was full before.
            with _disk_failures(), file:
                yield IncomingPicture(path, file, self.limits)
        finally:
            path.unlink(missing_ok=True)

    def keep(self, picture: IncomingPicture, submission_id: str) -> KeptPicture:
        """Move a received picture to its place; it stays pending until it is confirmed or discarded.

        No two have one name, so that deleting one never takes the picture of another request away.
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
        """Note that the ledger refers to a picture."""
        with _disk_failures():
            self._note(kept).unlink(missing_ok=True)

    def discard(self, kept: KeptPicture) -> None:
        """Delete a picture that the ledger does not refer to."""
        with _disk_failures():
            (self.media_root / kept.path).unlink(missing_ok=True)
            self._note(kept).unlink(missing_ok=True)

    def abandoned(self) -> list[KeptPicture]:
        """Return what has been pending for too long, and delete what has been incoming for too long."""
        for path in _older(self.media_root / FOLDER / _INCOMING):
            with suppress(OSError):
                path.unlink()
        return [kept for note in _older(self.media_root / FOLDER / _PENDING) if (kept := _noted(note))]

    def _note(self, kept: KeptPicture) -> Path:
        return self.media_root / FOLDER / _PENDING / Path(kept.path).name


def _older(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder that were written too long ago to be still in use."""
    for path in folder.glob("*"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                yield path


def _noted(note: Path) -> KeptPicture | None:
    """Return what a note says; None, and no note any more, if its writer died before it said anything."""
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
            hint="MODERATION_MEDIA_ROOT has to be a folder that this user can write, with room in it",
        ) from error
