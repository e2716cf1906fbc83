"""Thumbnails for reports, as `data:` URLs, if the uploads are still available."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

from moderation_client.messages import recorded_source
from PIL import Image

from worker.domain.moderation.view import View
from worker.errors import ModerationError, PermanentError
from worker.images.preprocessing import Pixels, Preprocessing
from worker.images.processes.pool import DecoderPool
from worker.images.sources.reader import ImageReader, read_named_file, verify_sha256
from worker.store.operations.archive import ArchivedSubmission

#: In the picture's aspect ratio, with 160 x 160 pixels at most.
THUMBNAIL: Final = Preprocessing(Image.Resampling.BICUBIC, patch_side=1, max_patches=160 * 160)
#: Thumbnails per report: each has some kilobytes, and a larger report would be hard to open and send.
MOST: Final = 200


def thumbnail(decoder: DecoderPool, data: bytes, view: View) -> str:
    """Return a `data:` URL of the view's frame; UndecodablePictureError if it cannot be decoded."""
    return _data_url(decoder.decode(data, THUMBNAIL).showing(view))


@dataclass(frozen=True, slots=True)
class Thumbnails:
    """Makes thumbnails of submissions."""

    reader: ImageReader
    decoder: DecoderPool

    def __call__(self, submission: ArchivedSubmission, sha256: str, view: View) -> str | None:
        """Return a `data:` URL of the view's frame; None if the judged bytes are gone."""
        try:
            source = recorded_source(submission.source)
            if source is None:
                return None
            data = self.reader.read(source)
            verify_sha256(data, sha256)
            return thumbnail(self.decoder, data, view)
        except ModerationError:
            return None


@dataclass(frozen=True, slots=True)
class FileThumbnails:
    """Makes thumbnails of files on this machine."""

    decoder: DecoderPool
    #: The SHA-256 of the bytes that were judged, by file.
    judged: Mapping[Path, str]

    def __call__(self, file: Path, view: View) -> str | None:
        """Return a `data:` URL of the view's frame; None if the judged bytes are gone."""
        try:
            data = read_named_file(file, self.decoder.limits)
            # The file may have been overwritten since it was judged.
            verify_sha256(data, self.judged.get(file))
            return thumbnail(self.decoder, data, view)
        except PermanentError:
            return None


def _data_url(pixels: Pixels) -> str:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", quality=75)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
