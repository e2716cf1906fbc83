"""Converts the colours of a picture to opaque sRGB, eight bits a channel."""

from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

_SRGB: Final = ImageCms.createProfile("sRGB")
#: Sizes in pixels: the picture about as a model sees it, and a cell, which an object can fill.
_SAMPLE_SIDE: Final = 256
_CELL_SIDE: Final = 32
#: Mean shift of a cell that is ordinary, in levels of 255.
_ORDINARY_SHIFT: Final = 32
#: Growth of a cell's contrast that is ordinary: a factor, plus levels of its standard deviation. Of 152
#: photographs 127 stay below it under Adobe RGB, 140 under Display P3, all with the gamma of old Macs.
_ORDINARY_GAIN: Final = 1.5
_ORDINARY_CONTRAST: Final = 4
_GREYS: Final = frozenset({"1", "L"})


def eight_bits(image: Image.Image) -> Image.Image:
    """Scale 16-bit greys to 8 bits; Pillow's conversion clips them, and nearly all become white."""
    values = np.asarray(image)
    grey = Image.fromarray((values >> 8).astype(np.uint8))
    grey.info = {name: value for name, value in image.info.items() if name != "transparency"}
    if "transparency" in image.info:
        opaque = values != image.info["transparency"]
        grey.putalpha(Image.fromarray(opaque.astype(np.uint8) * 255))
    return grey


def to_srgb(image: Image.Image) -> Image.Image | None:
    """Apply the embedded colour profile; None if it is missing, invalid or makes no visible difference."""
    profile = image.info.get("icc_profile")
    if not profile:
        return None
    try:
        embedded = ImageCms.ImageCmsProfile(BytesIO(profile))
        if image.mode in _GREYS and embedded.profile.xcolor_space == "RGB ":
            image = image.convert("RGB")
        transform = ImageCms.buildTransform(embedded, _SRGB, image.mode, "RGB")
        if image.mode != "CMYK" and _is_ordinary(transform, image):
            return None
        return transform.apply(image)
    except Exception:  # noqa: BLE001 - a broken profile raises anything; ignored, as in viewers
        return None


def _is_ordinary(transform: ImageCms.ImageCmsTransform, image: Image.Image) -> bool:
    """Whether every part of the picture shows the same content with the profile as without.

    The models were trained on pictures whose profiles were not applied, and other software that uses them
    does not apply profiles either. One must be applied only if it shows people what the raw pixels do not.
    """
    sample = image.resize((_SAMPLE_SIDE, _SAMPLE_SIDE), Image.Resampling.BOX)
    before, after = _cells(sample.convert("RGB")), _cells(transform.apply(sample))
    shift = np.abs(after - before).mean(axis=1)
    contrast = _ORDINARY_GAIN * before.std(axis=1) + _ORDINARY_CONTRAST
    return bool((shift <= _ORDINARY_SHIFT).all() and (after.std(axis=1) <= contrast).all())


def _cells(sample: Image.Image) -> NDArray[np.float32]:
    """Return the pixels of each cell and channel, shape (cells * channels, pixels)."""
    count = _SAMPLE_SIDE // _CELL_SIDE
    pixels = np.asarray(sample, np.float32).reshape(count, _CELL_SIDE, count, _CELL_SIDE, 3)
    return pixels.transpose(0, 2, 4, 1, 3).reshape(-1, _CELL_SIDE**2)
