"""Turns a picture as browsers turn it."""

from contextlib import suppress
from typing import Final

from PIL import ExifTags, Image

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


def _orientation(image: Image.Image) -> int:
    # A broken EXIF block turns nothing, and is no reason to refuse what every viewer shows.
    with suppress(Exception):
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    return 1


def turned(size: tuple[int, int], image: Image.Image) -> tuple[int, int]:
    """Return `size` as it is once turned as the EXIF block of `image` says, or turned back."""
    width, height = size
    return (height, width) if _orientation(image) in _TURNED else (width, height)


def upright(rgb: Image.Image, source: Image.Image) -> Image.Image:
    """Turn `rgb` as the EXIF block of `source` says."""
    turn = _TURNS.get(_orientation(source))
    return rgb if turn is None else rgb.transpose(turn)
