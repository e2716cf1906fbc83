"""Applies a picture's orientation as browsers do: for each format, what Chromium reads and nothing else."""

import struct
from typing import Final

from PIL import Image

_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_TURNED: Final = frozenset({5, 6, 7, 8})
#: Formats whose EXIF orientation browsers apply. Pillow converts an AVIF file's properties to EXIF; those of
#: HEIC are applied while it is decoded. Browsers ignore the orientation in WebP, and in XMP everywhere.
_BY_EXIF: Final = frozenset({"JPEG", "MPO", "PNG", "AVIF"})
#: Followed by a byte that is never read.
_JPEG_PREFIX: Final = b"Exif\0"
_JPEG_PREFIX_BYTES: Final = 6
_ORIENTATION, _SHORT = 0x0112, 3


def turned(size: tuple[int, int], image: Image.Image) -> tuple[int, int]:
    """Return `size` with its sides swapped if the orientation of `image` swaps them; its own inverse."""
    width, height = size
    return (height, width) if _orientation(image) in _TURNED else (width, height)


def upright(rgb: Image.Image, source: Image.Image) -> Image.Image:
    """Apply the orientation of `source` to `rgb`."""
    turn = _TURNS.get(_orientation(source))
    return rgb if turn is None else rgb.transpose(turn)


def _orientation(image: Image.Image) -> int:
    if image.format not in _BY_EXIF:
        return 1
    try:
        return _of_first_directory(_exif(image))
    except struct.error:
        # A broken EXIF block is ignored, as in every viewer.
        return 1


def _exif(image: Image.Image) -> bytes:
    """Return the EXIF block that browsers read; the first one of a JPEG."""
    if image.format in {"PNG", "AVIF"}:
        return bytes(image.info.get("exif", b"")).removeprefix(b"Exif\0\0")
    segments = (bytes(body) for name, body in getattr(image, "applist", ()) if name == "APP1")
    return next((body[_JPEG_PREFIX_BYTES:] for body in segments if body.startswith(_JPEG_PREFIX)), b"")


def _of_first_directory(exif: bytes) -> int:
    """Return the orientation in the first directory of a TIFF header; struct.error if it is cut off."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return 1
    (at,) = struct.unpack_from(f"{order}I", exif, 4)
    (count,) = struct.unpack_from(f"{order}H", exif, at)
    for place in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind, values, value = struct.unpack_from(f"{order}HHIH", exif, place)
        if tag == _ORIENTATION:
            return int(value) if (kind, values) == (_SHORT, 1) else 1
    return 1
