"""Decodes untrusted bytes into RGB frames within limits, or refuses them with a one-line reason."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from io import BytesIO
from typing import Final

from PIL import (
    AvifImagePlugin,  # noqa: F401 - importing registers the format; otherwise Pillow would load every plugin
    Image,
    UnidentifiedImageError,
    WebPImagePlugin,  # noqa: F401 - as AVIF
)

from worker.errors import UndecodableKind, UndecodablePictureError
from worker.images.colours.backdrops import to_rgb
from worker.images.decoding.animation import frame_count, sample_frames, walk
from worker.images.decoding.browsers import as_browsers_read, describe
from worker.images.decoding.orientation import turned, upright
from worker.images.decoding.sampling import Sample
from worker.images.formats.boxes import has_track
from worker.images.formats.kinds import NAMES, is_judged, kind_of
from worker.images.formats.truncation import NO_END, cut_off, is_cut_off, lacks_end
from worker.images.limits import Limits

#: The format of telephones needs another package, the extra `heic`.
_HEIC: Final = ("HEIF",) if find_spec("pillow_heif") else ()
#: What people upload and browsers show. Every further format exposes more code to untrusted bytes.
FORMATS: Final = ("JPEG", "PNG", "GIF", "WEBP", "AVIF", "BMP", *_HEIC)
#: A JPEG is decoded at a reduced size, but no smaller than this many times the model's input.
SCALED_DECODE_MARGIN: Final = 2
#: In other formats a "draft" may be an embedded preview, which can differ from the picture.
_SCALABLE: Final = frozenset({"JPEG", "MPO"})
#: The brand of a file of which only the cover is shown, even if a sequence follows.
_STILL_AVIF: Final = b"avif"
_REASON_CHARACTERS: Final = 160

# Pillow warns of what it tolerates: a corrupt EXIF block, a size near its own limit. `Limits` applies
# instead, and warnings cannot be caught per thread.
warnings.filterwarnings("ignore", module=r"PIL\.")

if _HEIC:
    import pillow_heif

    pillow_heif.register_heif_opener(thumbnails=False)
    pillow_heif.options.DECODE_THREADS = 1

#: Maps the width and height of a picture to those that the model's preprocessing scales it to.
Scaling = Callable[[tuple[int, int]], tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture: one RGB frame, or the chosen frames of an animation, in order."""

    format: str
    #: As displayed at full size: rotated by its orientation, before a scaled decode.
    width: int
    height: int
    #: As seen on a white page.
    frames: tuple[Image.Image, ...]
    #: The same frames as seen on a black page; empty unless transparency makes them look different.
    on_black: tuple[Image.Image, ...] = ()
    #: Share of the display time that the frames cover: their own, and that of nearly identical frames.
    time_share: float = 1.0

    @property
    def pages(self) -> tuple[tuple[Image.Image, ...], ...]:
        """The frames on each page (white, black) that they are judged on."""
        return (self.frames, self.on_black) if self.on_black else (self.frames,)


def decode(data: bytes, limits: Limits, scaling: Scaling | None = None, seed: bytes = b"") -> Picture:
    """Decode a picture as people see it, whatever its file name; safe to call from many threads.

    With `scaling`, a JPEG may be decoded at a reduced size that is still enough for the model. `seed` draws
    some of the frames of a long animation.
    UndecodablePictureError if the file is not a whole picture of a format in `FORMATS` within `limits`;
    MemoryError if this process may not allocate enough memory; nothing else.
    """
    if not data:
        raise UndecodablePictureError("the picture is empty: 0 bytes", kind=UndecodableKind.EMPTY)
    limits.check_bytes(len(data))
    try:
        return _decode(data, limits, scaling, seed)
    except (UndecodablePictureError, MemoryError):
        raise
    except Exception as problem:
        # Malformed files make Pillow raise a dozen kinds of exception; none may fail the job.
        raise _refusal(problem, data, limits) from problem


def _decode(data: bytes, limits: Limits, scaling: Scaling | None, seed: bytes) -> Picture:
    file = as_browsers_read(data, limits)
    with _opened(file, limits) as image:
        image.info[NO_END] = lacks_end(data)
        _refuse_unread_sequence(image, file)
        sample = _sample(image, file, limits, seed)
        size = image.size
        if scaling and image.format in _SCALABLE:
            _scale_down(image, scaling)
        frames = [_as_seen(frame, image) for frame in _chosen(image, data, sample, limits)]
        width, height = frames[0][0].size if image.size == size else turned(size, image)
        return Picture(
            image.format or "",
            width,
            height,
            frames=tuple(on_white for on_white, _ in frames),
            on_black=_as_seen_on_black(frames),
            time_share=sample.time_share,
        )


def _refuse_unread_sequence(image: Image.Image, data: bytes) -> None:
    """Refuse a file with an image sequence of which only the cover would be judged."""
    cover_alone = image.format == "HEIF" or (image.format == "AVIF" and data[8:12] == _STILL_AVIF)
    if cover_alone and has_track(data):
        raise UndecodablePictureError(
            f"the {image.format} file holds an image sequence or a film beside its picture; "
            "save it as WebP, GIF or AVIF",
            kind=UndecodableKind.VIDEO,
        )


def _opened(data: bytes, limits: Limits) -> Image.Image:
    image = Image.open(BytesIO(data), formats=FORMATS)
    limits.check_size(image.size)
    describe(image, data)
    return image


def _sample(image: Image.Image, data: bytes, limits: Limits, seed: bytes) -> Sample:
    """Return which frames to judge; `image` stays at its first frame."""
    total = frame_count(image, data, limits)
    if total == 0:
        raise UndecodablePictureError("the picture is broken: it holds no frame")
    if total <= limits.max_frames:
        return Sample(tuple(range(total)))
    with _opened(data, limits) as walked:
        return sample_frames(walked, data, limits, seed)


def _chosen(image: Image.Image, data: bytes, sample: Sample, limits: Limits) -> Iterator[Image.Image]:
    """Yield the frames of a sample, each valid until the next one."""
    for index, frame in enumerate(walk(image, data, sample.frames[-1] + 1, limits)):
        if index in sample.frames:
            yield frame


def _scale_down(image: Image.Image, scaling: Scaling) -> None:
    """Decode a JPEG at a half, a quarter or an eighth of its size if that is large enough."""
    width, height = turned(scaling(turned(image.size, image)), image)
    image.draft(None, (SCALED_DECODE_MARGIN * width, SCALED_DECODE_MARGIN * height))


def _as_seen_on_black(frames: Sequence[tuple[Image.Image, Image.Image | None]]) -> tuple[Image.Image, ...]:
    if not any(on_black for _, on_black in frames):
        return ()
    return tuple(on_black or on_white for on_white, on_black in frames)


def _as_seen(frame: Image.Image, image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Return a frame as seen on white, and on black if it looks different there."""
    on_white, on_black = to_rgb(frame)
    return upright(on_white, image), on_black and upright(on_black, image)


def _refusal(problem: Exception, data: bytes, limits: Limits) -> UndecodablePictureError:
    if isinstance(problem, UnidentifiedImageError) and not _is_judged(data):
        return _of_another_kind(kind_of(data))
    if isinstance(problem, Image.DecompressionBombError):
        return UndecodablePictureError(
            f"the picture is larger than the {limits.max_pixels:,} pixels that are judged",
            kind=UndecodableKind.TOO_LARGE,
        )
    if "truncated" in str(problem).lower() or is_cut_off(data):
        return cut_off()
    if isinstance(problem, UnidentifiedImageError):
        return UndecodablePictureError("the picture is broken: its header is invalid")
    first_line = next(iter(str(problem).splitlines()), "")[:_REASON_CHARACTERS]
    return UndecodablePictureError(f"the picture is broken: {first_line or type(problem).__name__}")


def _is_judged(data: bytes) -> bool:
    return is_judged(data) or (bool(_HEIC) and kind_of(data) is UndecodableKind.HEIC)


def _of_another_kind(kind: UndecodableKind) -> UndecodablePictureError:
    judged = f"{', '.join(FORMATS)} are judged"
    if kind is UndecodableKind.HEIC:
        message = "HEIC is judged only if the extra is installed: pip install 'moderation-worker[heic]'"
    elif kind in NAMES:
        message = f"it is {NAMES[kind]}; {judged}"
    else:
        message = f"the file is not a picture of a kind that is judged: {', '.join(FORMATS)}"
    return UndecodablePictureError(message, kind=kind)
