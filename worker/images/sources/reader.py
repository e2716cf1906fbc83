"""Fetches a submitted picture's bytes from where its source says they are, and from nowhere else."""

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
    """Reads sources of every kind."""

    media: LocalFolder
    download: Download
    object_stores: ObjectStores
    limits: Limits
    outages: Outages = field(default_factory=Outages)

    @property
    def allowed(self) -> AllowedSources:
        """The sources that are read at all."""
        return AllowedSources(self.download.http.guard, self.object_stores.roots.keys())

    def read(self, source: Source) -> bytes:
        """Return the encoded picture, at most `limits.max_bytes` long.

        SourceNotAllowedError if the source points where workers must not read, SourceMissingError if there
        is nothing, SourceNotReadyError if it cannot be read yet, SourceError if it cannot be read,
        UndecodablePictureError if it is too large, RemoteUnavailableError if the server of this picture
        fails, SourceUnavailableError if the place as a whole cannot be read.
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
    """Read a file that a person named on this machine: under the limits, but under no media root.

    Its name need not be valid Unicode, since it goes into no message. Raises as `LocalFolder.read` does;
    SourceError for whatever is wrong with the file or its folder.
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
    """Raise SourceNotReadyError if `data` is not what the producer promised; None promises nothing."""
    if promised is None:
        return
    found = hashlib.sha256(data).hexdigest()
    if found != promised:
        # A file that is still being written looks the same.
        raise SourceNotReadyError(
            f"the bytes are not the ones that were submitted: SHA-256 {found}, promised {promised}",
            hint="the file was replaced after it was submitted; submit it again",
        )
