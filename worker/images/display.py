"""Pictures for people's eyes: never the uploaded bytes, but pixels of ours, clear or veiled, encoded anew."""

from io import BytesIO
from typing import Final

from PIL import Image, ImageFilter

from worker.images.preprocessing import Pixels, Preprocessing

MEDIA_TYPE: Final = "image/webp"
#: In its own shape, scaled to about as many pixels as a screen shows; a small one is enlarged.
DISPLAYED: Final = Preprocessing(resample=int(Image.Resampling.LANCZOS), patch_side=1, max_patches=1280 * 960)
#: Of a veiled picture no more is kept than so many grey cells a side, in middling greys: nothing can be read
#: back from them.
_VEIL_CELLS: Final = 14
_VEIL_SIDE: Final = 280
_VEIL_GREYS: Final = (80, 180)
_QUALITY: Final = 84


def clear(pixels: Pixels) -> bytes:
    """Return a picture as it is."""
    return _encoded(Image.fromarray(pixels))


def veiled(pixels: Pixels) -> bytes:
    """Return a picture as a grey blur that shows that it is there, and hardly what."""
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
