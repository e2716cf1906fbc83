"""Decodes untrusted bytes under limits into RGB frames, or refuses them with a reason in one line."""

import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
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

from worker.errors import UndecodablePictureError
from worker.images.limits import Limits

#: Telephones' own format needs a package of its own, the extra `heic`.
_HEIC: Final = ("HEIF",) if find_spec("pillow_heif") else ()
_HEIC_BEGINNINGS: Final = (b"ftypheic", b"ftypheix", b"ftypmif1")
#: What people upload and browsers show. Every further format is more code that hostile bytes can reach.
FORMATS: Final = ("JPEG", "PNG", "GIF", "WEBP", "AVIF", "BMP", *_HEIC)
#: The further pictures of an MPO or a HEIC (depth, gain map, other eye) are never shown: it counts as still.
_ANIMATED: Final = frozenset({"GIF", "PNG", "WEBP", "AVIF"})
#: Reaching a frame costs time however small it is.
_MAX_FRAMES_WALKED: Final = 10_000
#: Uploads are mostly seen on light pages; what is drawn in white on nothing shows on dark ones.
_WHITE: Final = (255, 255, 255)
_BLACK: Final = (0, 0, 0)
#: Share of a picture that its alpha has to let through before it is looked at on black too: what hides on
#: white differs from it on black in fewer pixels than that.
_TRANSPARENT: Final = 0.01
#: A JPEG is decoded scaled down, but to no less than this many times the size that its model wants.
SCALED_DECODE_MARGIN: Final = 2
#: Elsewhere a "draft" may be an embedded preview, which can show something else than the picture.
_SCALABLE: Final = frozenset({"JPEG", "MPO"})
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
_SRGB: Final = ImageCms.createProfile("sRGB")
#: Levels of 255, mean of the channel that shifts most; Adobe RGB and old Macs reached 15 on 152 photographs.
_ORDINARY_SHIFT: Final = 24
_SAMPLE_SIDE: Final = 256
_REASON_CHARACTERS: Final = 160

# Pillow warns where it reads on all the same: a corrupt EXIF block, a size near its own limit. Ours are the
# limits that count, and warnings cannot be caught per thread.
warnings.filterwarnings("ignore", module=r"PIL\.")

if _HEIC:
    import pillow_heif

    pillow_heif.register_heif_opener(thumbnails=False)
    pillow_heif.options.DECODE_THREADS = 1

#: From the width and height of a picture to those that its model will scale it to.
Scaling = Callable[[tuple[int, int]], tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture: one RGB frame, or the sampled frames of an animation in order."""

    format: str
    #: As people see it, at full size: turned, and before a scaled decode.
    width: int
    height: int
    #: As seen on a white page.
    frames: tuple[Image.Image, ...]
    #: The same frames as seen on a black page; empty unless transparency makes them look different.
    on_black: tuple[Image.Image, ...] = ()


def decode(data: bytes, limits: Limits, scaling: Scaling | None = None) -> Picture:
    """Decode a picture as people see it, known by its content alone; safe to call from many threads.

    With `scaling`, a JPEG may come out smaller than it is, as far as its model will not mind.
    UndecodablePictureError for whatever is no whole picture of a kind in `FORMATS` within `limits`;
    MemoryError where this process may not take as much memory as it needs; nothing else.
    """
    if not data:
        raise UndecodablePictureError("the picture is empty: 0 bytes")
    limits.check_bytes(len(data))
    try:
        return _decode(data, limits, scaling)
    except (UndecodablePictureError, MemoryError):
        raise
    except Exception as problem:
        # Hostile bytes have made Pillow raise a dozen kinds of exception; none may fail the job.
        raise UndecodablePictureError(_reason(problem, data)) from problem


def _decode(data: bytes, limits: Limits, scaling: Scaling | None) -> Picture:
    with Image.open(BytesIO(data), formats=FORMATS) as image:
        _check_size(image.size, limits)
        size = image.size
        if scaling and image.format in _SCALABLE:
            _scale_down(image, scaling)
        frames = [_frame(image, index, limits) for index in _frame_indices(image, limits)]
        width, height = frames[0][0].size if image.size == size else _turned(size, image)
        return Picture(
            image.format or "",
            width,
            height,
            frames=tuple(on_white for on_white, _ in frames),
            on_black=_as_seen_on_black(frames),
        )


def _scale_down(image: Image.Image, scaling: Scaling) -> None:
    """Have a JPEG decoded at a half, a quarter or an eighth, as long as that is large enough."""
    width, height = _turned(scaling(_turned(image.size, image)), image)
    image.draft(None, (SCALED_DECODE_MARGIN * width, SCALED_DECODE_MARGIN * height))


def _as_seen_on_black(frames: Sequence[tuple[Image.Image, Image.Image | None]]) -> tuple[Image.Image, ...]:
    if not any(on_black for _, on_black in frames):
        return ()
    return tuple(on_black or on_white for on_white, on_black in frames)


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


def _frame(image: Image.Image, index: int, limits: Limits) -> tuple[Image.Image, Image.Image | None]:
    """Return a frame as seen on white, and on black where it looks different there."""
    if index:
        image.seek(index)
        # A GIF's frame may enlarge the picture.
        _check_size(image.size, limits)
    image.load()
    # Some formats tell the true size only now.
    _check_size(image.size, limits)
    on_white, on_black = _to_rgb(image)
    return _upright(on_white, image), on_black and _upright(on_black, image)


def _orientation(image: Image.Image) -> int:
    # A broken EXIF block turns nothing, and is no reason to refuse what every viewer shows.
    with suppress(Exception):
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    return 1


def _turned(size: tuple[int, int], image: Image.Image) -> tuple[int, int]:
    """Return `size` as it is once turned as the EXIF block of `image` says, or turned back."""
    width, height = size
    return (height, width) if _orientation(image) in _TURNED else (width, height)


def _upright(rgb: Image.Image, source: Image.Image) -> Image.Image:
    """Turn `rgb` as the EXIF block of `source` says."""
    turn = _TURNS.get(_orientation(source))
    return rgb if turn is None else rgb.transpose(turn)


def _to_rgb(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Return the picture as it is seen on white, and on black where it looks different there.

    Every mode becomes opaque RGB.
    """
    if image.mode.startswith("I;16"):
        image = _eight_bits(image)
    if image.has_transparency_data:
        return _on_backdrops(image if image.mode == "RGBA" else image.convert("RGBA"))
    if image.mode == "P":
        image = image.convert("RGB")
    return _to_srgb(image) or image.convert("RGB"), None


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale 16-bit greys; Pillow's own conversion clips them, and nearly all become white."""
    values = np.asarray(image)
    grey = Image.fromarray((values >> 8).astype(np.uint8))
    grey.info = {"icc_profile": image.info.get("icc_profile")}
    if "transparency" in image.info:
        opaque = values != image.info["transparency"]
        grey.putalpha(Image.fromarray(opaque.astype(np.uint8) * 255))
    return grey


def _on_backdrops(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Lay an RGBA picture on the pages that it may be seen on."""
    alpha = image.getchannel("A")
    opaque = image.convert("RGB")
    colours = _to_srgb(opaque) or opaque
    transparent = 1 - ImageStat.Stat(alpha).mean[0] / 255
    on_black = _on_page(colours, alpha, _BLACK) if transparent > _TRANSPARENT else None
    return _on_page(colours, alpha, _WHITE), on_black


def _on_page(colours: Image.Image, alpha: Image.Image, page: tuple[int, int, int]) -> Image.Image:
    """Return what `alpha_composite` would, with a third of its memory."""
    seen = Image.new("RGB", colours.size, page)
    seen.paste(colours, mask=alpha)
    return seen


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


def _reason(problem: Exception, data: bytes) -> str:
    if isinstance(problem, UnidentifiedImageError) and data[4:12] in _HEIC_BEGINNINGS and not _HEIC:
        return "HEIC is judged only where the extra is installed: pip install 'moderation-worker[heic]'"
    if isinstance(problem, UnidentifiedImageError):
        return f"the bytes are no picture of a kind that is judged: {', '.join(FORMATS)}"
    if isinstance(problem, Image.DecompressionBombError):
        return f"the picture is larger than Pillow opens at all: {problem}"
    first_line = next(iter(str(problem).splitlines()), "")[:_REASON_CHARACTERS]
    return f"the picture is broken: {first_line or type(problem).__name__}"
