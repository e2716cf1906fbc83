"""Decodes untrusted bytes under limits into RGB frames, or refuses them with a reason in one line."""

import hashlib
import warnings
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from typing import Final

import numpy as np
from PIL import (
    AvifImagePlugin,  # noqa: F401 - importing registers the format; Pillow would else load every plugin it has
    ExifTags,
    Image,
    ImageChops,
    ImageCms,
    ImageStat,
    UnidentifiedImageError,
    WebPImagePlugin,  # noqa: F401 - as AVIF
)

from worker.domain.picture import PictureFacts
from worker.errors import UndecodablePictureError
from worker.images.limits import Limits

#: What people upload and browsers show. Every further format is more code that hostile bytes can reach.
FORMATS: Final = ("JPEG", "PNG", "GIF", "WEBP", "AVIF", "BMP")
#: An MPO's further pictures (depth, gain map, the other eye) are never shown, so it counts as still.
_ANIMATED: Final = frozenset({"GIF", "PNG", "WEBP", "AVIF"})
#: Reaching a frame costs time however small it is.
_MAX_FRAMES_WALKED: Final = 10_000
#: Uploads are mostly seen on light pages.
_BACKDROP: Final = (255, 255, 255, 255)
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SRGB: Final = ImageCms.createProfile("sRGB")
#: Levels of 255, mean of the channel that shifts most; Adobe RGB and old Macs reached 15 on 152 photographs.
_ORDINARY_SHIFT: Final = 24
_SAMPLE_SIDE: Final = 256
_REASON_CHARACTERS: Final = 160

# Pillow warns where it reads on all the same: a corrupt EXIF block, a size near its own limit. Ours are the
# limits that count, and warnings cannot be caught per thread.
warnings.filterwarnings("ignore", module=r"PIL\.")


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture: one RGB frame, or the sampled frames of an animation in order."""

    frames: tuple[Image.Image, ...]
    facts: PictureFacts


def decode(data: bytes, limits: Limits) -> Picture:
    """Decode a picture as people see it, known by its content alone; safe to call from many threads.

    UndecodablePictureError, and nothing else, for whatever is no whole picture of a kind in `FORMATS`
    within `limits`.
    """
    if not data:
        raise UndecodablePictureError("the picture is empty: 0 bytes")
    limits.check_bytes(len(data))
    try:
        return _decode(data, limits)
    except UndecodablePictureError:
        raise
    except Exception as problem:
        # Hostile bytes have made Pillow raise a dozen kinds of exception; none may fail the job.
        raise UndecodablePictureError(_reason(problem)) from problem


def _decode(data: bytes, limits: Limits) -> Picture:
    with Image.open(BytesIO(data), formats=FORMATS) as image:
        _check_size(image.size, limits)
        frames = tuple(_frame(image, index, limits) for index in _frame_indices(image, limits))
        width, height = frames[0].size
        return Picture(
            frames,
            PictureFacts(
                sha256=hashlib.sha256(data).hexdigest(),
                format=image.format or "",
                width=width,
                height=height,
                frames=len(frames),
            ),
        )


def _check_size(size: tuple[int, int], limits: Limits) -> None:
    width, height = size
    if max(size) > limits.max_side:
        raise UndecodablePictureError(
            f"the picture is {width:,} x {height:,} pixels; at most {limits.max_side:,} a side are judged"
        )
    if width * height > limits.max_pixels:
        raise UndecodablePictureError(
            f"the picture is {width:,} x {height:,} pixels; at most {limits.max_pixels:,} in all are judged"
        )


def _frame_indices(image: Image.Image, limits: Limits) -> list[int]:
    """Return which frames to look at: the first, the last, and evenly between."""
    total = getattr(image, "n_frames", 1) if image.format in _ANIMATED else 1
    count = min(total, limits.max_frames)
    if total == 1:
        return [0]
    _check_animation(image.size, total, count, limits)
    return [round(step * (total - 1) / max(1, count - 1)) for step in range(count)]


def _check_animation(size: tuple[int, int], total: int, count: int, limits: Limits) -> None:
    width, height = size
    area = width * height
    too_slow = total > _MAX_FRAMES_WALKED or total * area > limits.max_animation_pixels
    too_large = count * area > limits.max_pixels
    if too_slow or too_large:
        raise UndecodablePictureError(
            f"the animation has {total:,} frames of {width:,} x {height:,} pixels, more than is judged"
        )


def _frame(image: Image.Image, index: int, limits: Limits) -> Image.Image:
    if index:
        image.seek(index)
        # A GIF's frame may enlarge the picture.
        _check_size(image.size, limits)
    image.load()
    return _upright(_to_rgb(image), image)


def _upright(rgb: Image.Image, source: Image.Image) -> Image.Image:
    """Turn `rgb` as the EXIF block of `source` says."""
    # A broken EXIF block turns nothing, and is no reason to refuse what every viewer shows.
    with suppress(Exception):
        turn = _TURNS.get(source.getexif().get(ExifTags.Base.Orientation, 1))
        return rgb.transpose(turn) if turn is not None else rgb
    return rgb


def _to_rgb(image: Image.Image) -> Image.Image:
    """Return the picture as it is seen: every mode becomes opaque RGB."""
    if image.mode.startswith("I;16"):
        image = _eight_bits(image)
    if image.has_transparency_data:
        return _on_backdrop(image.convert("RGBA"))
    if image.mode == "P":
        image = image.convert("RGB")
    return _to_srgb(image) or image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale 16-bit greys; Pillow's own conversion clips them, and nearly all become white."""
    values = np.asarray(image)
    grey = Image.fromarray((values >> 8).astype(np.uint8))
    grey.info = {"icc_profile": image.info.get("icc_profile")}
    if "transparency" in image.info:
        opaque = values != image.info["transparency"]
        grey.putalpha(Image.fromarray(opaque.astype(np.uint8) * 255))
    return grey


def _on_backdrop(image: Image.Image) -> Image.Image:
    """Lay an RGBA picture on the page it will be seen on."""
    opaque = image.convert("RGB")
    colours = _to_srgb(opaque) or opaque
    colours.putalpha(image.getchannel("A"))
    return Image.alpha_composite(Image.new("RGBA", image.size, _BACKDROP), colours).convert("RGB")


def _to_srgb(image: Image.Image) -> Image.Image | None:
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


def _reason(problem: Exception) -> str:
    if isinstance(problem, UnidentifiedImageError):
        return f"the bytes are no picture of a kind that is judged: {', '.join(FORMATS)}"
    if isinstance(problem, Image.DecompressionBombError):
        return f"the picture is larger than Pillow opens at all: {problem}"
    first_line = next(iter(str(problem).splitlines()), "")[:_REASON_CHARACTERS]
    return f"the picture is broken: {first_line or type(problem).__name__}"
