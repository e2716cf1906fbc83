"""Brings the colours of a picture to opaque sRGB, eight bits a channel."""

from io import BytesIO
from typing import Final

import numpy as np
from PIL import Image, ImageChops, ImageCms, ImageStat

_SRGB: Final = ImageCms.createProfile("sRGB")
#: Levels of 255, mean of the channel that shifts most; Adobe RGB and old Macs reached 15 on 152 photographs.
_ORDINARY_SHIFT: Final = 24
_SAMPLE_SIDE: Final = 256


def eight_bits(image: Image.Image) -> Image.Image:
    """Scale 16-bit greys; Pillow's own conversion clips them, and nearly all become white."""
    values = np.asarray(image)
    grey = Image.fromarray((values >> 8).astype(np.uint8))
    grey.info = {"icc_profile": image.info.get("icc_profile")}
    if "transparency" in image.info:
        opaque = values != image.info["transparency"]
        grey.putalpha(Image.fromarray(opaque.astype(np.uint8) * 255))
    return grey


def to_srgb(image: Image.Image) -> Image.Image | None:
    """Apply the embedded colour profile; None where there is none, or none that matters or makes sense."""
    profile = image.info.get("icc_profile")
    if not profile:
        return None
    try:
        embedded = ImageCms.ImageCmsProfile(BytesIO(profile))
        transform = ImageCms.buildTransform(embedded, _SRGB, image.mode, "RGB")
        if image.mode != "CMYK" and _is_ordinary(transform, image):
            return None
        return transform.apply(image)
    except Exception:  # noqa: BLE001 - a broken profile raises anything; viewers ignore it, and so do we
        return None


def _is_ordinary(transform: ImageCms.ImageCmsTransform, image: Image.Image) -> bool:
    """Whether the profile shifts colours no more than those of cameras do.

    The models learned from pictures whose profiles nobody applied, and other software that asks them does
    not either. Only a profile that shows people something else than the pixels say has to be followed.
    """
    width, height = (min(side, _SAMPLE_SIDE) for side in image.size)
    sample = image.resize((width, height), Image.Resampling.BOX)
    shift = ImageStat.Stat(ImageChops.difference(transform.apply(sample), sample.convert("RGB"))).mean
    return max(shift) <= _ORDINARY_SHIFT
