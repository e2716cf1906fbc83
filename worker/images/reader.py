"""Fetches a submitted picture's bytes from where its source says they are, and from nowhere else."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from worker.domain.submission import ImageUrl, InlineBytes, LocalFile, Source, StoredObject
from worker.errors import SourceError
from worker.images.download import Download
from worker.images.limits import Limits
from worker.images.local_folder import LocalFolder
from worker.images.object_store import ObjectStores


@dataclass(frozen=True, slots=True)
class ImageReader:
    """Reads sources of every kind."""

    media: LocalFolder
    download: Download
    object_stores: ObjectStores
    limits: Limits

    def read(self, source: Source) -> bytes:
        """Return the encoded picture, at most `limits.max_bytes` long.

        SourceNotAllowedError where the source points where workers must not read, SourceMissingError where
        there is nothing, SourceError where it cannot be read, UndecodablePictureError where it is too
        large, RemoteUnavailableError where a stranger's server does not answer, UnavailableError where
        the media root or a store of ours is away.
        """
        match source:
            case LocalFile(path):
                return self.media.read(path)
            case InlineBytes(data):
                self.limits.check_bytes(len(data))
                return data
            case ImageUrl(url):
                return self.download(url)
            case StoredObject(store, key):
                return self.object_stores.read(store, key)
            case _:
                assert_never(source)


def read_named_file(file: Path, limits: Limits) -> bytes:
    """Read a file that a person named on this machine: under the limits, but under no media root.

    Its name need not be valid Unicode, since it goes into no message. Raises as `LocalFolder.read` does.
    """
    resolved = file.resolve()
    return LocalFolder(resolved.parent, limits).read(resolved.name)


def verify_sha256(data: bytes, promised: str | None) -> None:
    """Raise SourceError where `data` is not what the producer promised; None promises nothing."""
    if promised is None:
        return
    found = hashlib.sha256(data).hexdigest()
    if found != promised:
        raise SourceError(
            f"the bytes are not the ones that were submitted: SHA-256 {found}, promised {promised}",
            hint="the file was replaced after it was submitted; submit it again",
        )
