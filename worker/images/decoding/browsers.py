"""Makes Pillow read a file as browsers do: which parts are skipped, and which colours are declared."""

from typing import Final

from PIL import Image

from worker.errors import UndecodablePictureError
from worker.images.colours.backdrops import GREY, OPAQUE
from worker.images.formats import bmp, gif, png, truncation
from worker.images.formats.boxes import declared_profile
from worker.images.limits import Limits

_PROFILE: Final = "icc_profile"


def as_browsers_read(data: bytes, limits: Limits) -> bytes:
    """Return the file rewritten for Pillow; UndecodablePictureError if it is too large."""
    data = gif.as_browsers_read(png.as_browsers_read(data))
    return truncation.with_end(bmp.as_browsers_read(data, limits))


def describe(image: Image.Image, data: bytes) -> None:
    """Add to the `info` of an opened picture what Pillow does not read from its file."""
    match image.format:
        case "PNG" if png.has_deep_transparency(data):
            if getattr(image, "n_frames", 1) > 1:
                raise UndecodablePictureError(
                    "the picture is broken: frames with a 16-bit transparent colour"
                )
            image.info[OPAQUE] = png.opaque_pixels(data)
            return
        case "PNG":
            image.info[GREY] = png.is_grey(data)
            return
        case "BMP":
            profile = bmp.embedded_profile(data)
        case "AVIF" | "HEIF":
            is_sequence = image.format == "AVIF" and getattr(image, "n_frames", 1) > 1
            profile = image.info.get(_PROFILE) or declared_profile(data, is_sequence=is_sequence)
        case "WEBP" if getattr(image, "n_frames", 1) > 1:
            # Chromium applies no profile to an animation.
            profile = None
        case _:
            return
    image.info[_PROFILE] = profile
