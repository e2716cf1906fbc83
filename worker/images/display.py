"""Encodes pictures for display, clear or blurred: from decoded pixels, never the uploaded bytes."""

from io import BytesIO
from typing import Final

from PIL import Image, ImageFilter

from worker.images.preprocessing import Pixels, Preprocessing

MEDIA_TYPE: Final = "image/webp"
#: Keeps the shape, and scales to about the number of pixels of a screen; a small picture is enlarged.
DISPLAYED: Final = Preprocessing(resample=int(Image.Resampling.LANCZOS), patch_side=1, max_patches=1280 * 960)
#: A veiled picture keeps this number of grey cells a side, in middling greys: the original cannot be
#: recovered from them.
_VEIL_CELLS: Final = 14
_VEIL_SIDE: Final = 280
_VEIL_GREYS: Final = (80, 180)
_QUALITY: Final = 84


def clear(pixels: Pixels) -> bytes:
    """Return a picture unchanged, encoded."""
    return _encoded(Image.fromarray(pixels))


def veiled(pixels: Pixels) -> bytes:
    """Return a picture as a grey blur in which hardly anything can be recognised."""
    picture = Image.fromarray(pixels).convert("L")
    cells = _within(picture.size, _VEIL_CELLS)
    size = _within(picture.size, _VEIL_SIDE)
    coarse = picture.resize(cells, Image.Resampling.BOX).resize(size, Image.Resampling.BICUBIC)
    darkest, lightest = _VEIL_GREYS
    dimmed = coarse.point([darkest + (lightest - darkest) * grey // 255 for grey in range(256)])
    return _encoded(dimmed.filter(ImageFilter.GaussianBlur(_VEIL_SIDE / _VEIL_CELLS / 1.5)))


def _within(size: tuple[int, int], longest: int) -> tuple[int, int]:
    scale = longest / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _encoded(picture: Image.Image) -> bytes:
    file = BytesIO()
    picture.save(file, "WEBP", quality=_QUALITY, method=2)
    return file.getvalue()
