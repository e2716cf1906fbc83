"""Turns a picture as browsers turn it: each format by what Chromium reads there, and by nothing else."""

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
#: Formats whose EXIF block browsers follow. Pillow makes one of what an AVIF file's own properties say; those
#: of HEIC are applied while it is decoded. In WebP, and in XMP everywhere, browsers heed no orientation.
_BY_EXIF: Final = frozenset({"JPEG", "MPO", "PNG", "AVIF"})
#: A terminator, and a byte that is never looked at.
_JPEG_PREFIX: Final = b"Exif\0"
_JPEG_PREFIX_BYTES: Final = 6
_ORIENTATION, _SHORT = 0x0112, 3


def turned(size: tuple[int, int], image: Image.Image) -> tuple[int, int]:
    """Return `size` as it is once turned as `image` says, or turned back."""
    width, height = size
    return (height, width) if _orientation(image) in _TURNED else (width, height)


def upright(rgb: Image.Image, source: Image.Image) -> Image.Image:
    """Turn `rgb` as the file of `source` says."""
    turn = _TURNS.get(_orientation(source))
    return rgb if turn is None else rgb.transpose(turn)


def _orientation(image: Image.Image) -> int:
    if image.format not in _BY_EXIF:
        return 1
    try:
        return _of_first_directory(_exif(image))
    except struct.error:
        # A broken EXIF block turns nothing, and is no reason to refuse what every viewer shows.
        return 1


def _exif(image: Image.Image) -> bytes:
    """Return the EXIF block that browsers read; of a JPEG's several ones the first."""
    if image.format in {"PNG", "AVIF"}:
        return bytes(image.info.get("exif", b"")).removeprefix(b"Exif\0\0")
    segments = (bytes(body) for name, body in getattr(image, "applist", ()) if name == "APP1")
    return next((body[_JPEG_PREFIX_BYTES:] for body in segments if body.startswith(_JPEG_PREFIX)), b"")


def _of_first_directory(exif: bytes) -> int:
    """Return the orientation of a TIFF header's first directory; struct.error if it ends early."""
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
