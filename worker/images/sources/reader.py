"""Reads a submitted picture's bytes from its source, and from nowhere else."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import assert_never

from moderation_client.submission import ImageUrl, InlineBytes, LocalFile, Source, StoredObject

from worker.errors import SourceError, SourceNotReadyError, SourceUnavailableError
from worker.images.limits import Limits
from worker.images.sources.allowed_sources import AllowedSources
from worker.images.sources.download import PLACE, Download
from worker.images.sources.local_folder import SHORTAGES, LocalFolder
from worker.images.sources.object_store import ObjectStores, place_of
from worker.images.sources.outages import Outages


@dataclass(frozen=True, slots=True)
class ImageReader:
    """Reads every kind of source."""

    media: LocalFolder
    download: Download
    object_stores: ObjectStores
    limits: Limits
    outages: Outages = field(default_factory=Outages)

    @property
    def allowed(self) -> AllowedSources:
        """The sources that this reader may read."""
        return AllowedSources(self.download.http.guard, self.object_stores.roots.keys())

    def read(self, source: Source) -> bytes:
        """Return the encoded picture, at most `limits.max_bytes` long.

        SourceNotAllowedError if workers must not read the source, SourceMissingError if it does not exist,
        SourceNotReadyError if it cannot be read yet, SourceError if it cannot be read,
        UndecodablePictureError if it is too large, RemoteUnavailableError if this picture's server fails,
        SourceUnavailableError if the place as a whole cannot be read.
        """
        match source:
            case LocalFile(path):
                with self.outages.reading(self.media.name):
                    return self.media.read(path)
            case InlineBytes(data):
                self.limits.check_bytes(len(data))
                return data
            case ImageUrl(url):
                with self.outages.reading(PLACE):
                    return self.download(url)
            case StoredObject(store, key):
                root = self.object_stores.root(store)
                with self.outages.reading(place_of(store)):
                    return root.read(key)
            case _:
                assert_never(source)


def read_named_file(file: Path, limits: Limits) -> bytes:
    """Read a file that a user named on this machine: within the limits, but anywhere on the disk.

    Its name need not be valid Unicode, since no message quotes it. Raises as `LocalFolder.read` does, and
    SourceError if the file or its folder cannot be read.
    """
    resolved = file.resolve()
    try:
        return LocalFolder(resolved.parent, limits).read(resolved.name)
    except SourceUnavailableError as problem:
        cause = problem.__cause__
        if isinstance(cause, OSError) and cause.errno not in SHORTAGES:
            reason = (cause.strerror or str(cause)).lower()
            raise SourceError(f"{resolved.name!r} cannot be read: {reason}") from cause
        raise


def verify_sha256(data: bytes, promised: str | None) -> None:
    """Raise SourceNotReadyError if `data` does not have the SHA-256 that the producer promised, if any."""
    if promised is None:
        return
    found = hashlib.sha256(data).hexdigest()
    if found != promised:
        # A file that is still being written looks the same.
        raise SourceNotReadyError(
            f"the bytes are not the ones that were submitted: SHA-256 {found}, promised {promised}",
            hint="the file was replaced after it was submitted; submit it again",
        )
