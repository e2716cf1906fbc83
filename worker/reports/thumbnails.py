"""Small pictures for reports, where the uploads are still to be had, as addresses that carry their data."""

import base64
from dataclasses import dataclass
from io import BytesIO
from typing import Final

from moderation_client.messages import recorded_source
from PIL import Image

from worker.domain.moderation.view import View
from worker.errors import ModerationError
from worker.images.preprocessing import Pixels, Preprocessing
from worker.images.processes.pool import DecoderPool
from worker.images.sources.reader import ImageReader, verify_sha256
from worker.store.operations.archive import ArchivedSubmission

#: In the picture's own shape, with as many pixels as a square of 160 has.
THUMBNAIL: Final = Preprocessing(Image.Resampling.BICUBIC, patch_side=1, max_patches=160 * 160)
#: Some kilobytes each; a report with more would be slow to open and hard to send.
MOST: Final = 200


def thumbnail(decoder: DecoderPool, data: bytes, view: View) -> str:
    """Return a `data:` address of the frame that a view is of; UndecodablePictureError if there is none."""
    return _address(decoder.decode(data, THUMBNAIL).showing(view))


@dataclass(frozen=True, slots=True)
class Thumbnails:
    """Makes thumbnails of submissions."""

    reader: ImageReader
    decoder: DecoderPool

    def __call__(self, submission: ArchivedSubmission, sha256: str, view: View) -> str | None:
        """Return a `data:` address of the frame that a view is of; None if the same bytes are gone."""
        try:
            source = recorded_source(submission.source)
            if source is None:
                return None
            data = self.reader.read(source)
            verify_sha256(data, sha256)
            return thumbnail(self.decoder, data, view)
        except ModerationError:
            return None


def _address(pixels: Pixels) -> str:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", quality=75)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
