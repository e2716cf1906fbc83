"""Pictures that come over HTTP go below the media root under names of ours, whole or not at all."""

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
#: A file that is still incoming after this long belonged to a process that died.
_ABANDONED_SECONDS: Final = 24 * 60 * 60


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

    def keep(self, picture: IncomingPicture, submission_id: str) -> str:
        """Give a received picture its name and return its path below the media root.

        The name is made of the id and the picture, so that no upload ever takes another's place.
        """
        name = hashlib.sha256(f"{submission_id}\n{picture.sha256}".encode()).hexdigest()[:40]
        path = f"{FOLDER}/{datetime.now(UTC):%Y/%m/%d}/{name}"
        picture.finish()
        with _disk_failures():
            (self.media_root / path).parent.mkdir(parents=True, exist_ok=True)
            picture.path.replace(self.media_root / path)
        return path

    def sweep(self) -> None:
        """Delete what processes that died were receiving."""
        for path in (self.media_root / FOLDER / _INCOMING).glob("*"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                    path.unlink()

    def discard(self, path: str) -> None:
        """Delete a picture that was kept in vain."""
        with _disk_failures():
            (self.media_root / path).unlink(missing_ok=True)


@contextmanager
def _disk_failures() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UnavailableError(
            f"the media root cannot take uploads: {error}",
            hint="MODERATION_MEDIA_ROOT has to be a folder that this user can write, with room in it",
        ) from error
