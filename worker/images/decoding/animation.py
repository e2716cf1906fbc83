"""Decodes the frames of an animation in order, as far as a browser shows them."""

import math
from collections.abc import Iterator
from itertools import islice
from typing import Final

import numpy as np
from PIL import Image

from worker.errors import UndecodableKind, UndecodablePictureError
from worker.images.decoding.display_time import (
    frame_milliseconds,
    has_default_image,
    plays,
    time_on_screen,
)
from worker.images.decoding.sampling import Sample, choose
from worker.images.decoding.sketch import Grid, Sketch
from worker.images.formats.apng import Apng
from worker.images.formats.gif import Gif
from worker.images.formats.truncation import load_whole
from worker.images.limits import Limits

#: The other pictures of an MPO or a HEIC (depth, gain map, other eye) are never shown: it counts as still.
_ANIMATED: Final = frozenset({"GIF", "PNG", "WEBP", "AVIF"})
#: Reaching a frame takes time, however small the frame is.
_MAX_FRAMES_WALKED: Final = 10_000


def frame_count(image: Image.Image, data: bytes, limits: Limits) -> int:
    """Return the number of frames of a picture; UndecodablePictureError if the animation is too large."""
    if image.format == "GIF":
        return _count_gif_frames(image, data, limits)
    total = int(getattr(image, "n_frames", 1)) if image.format in _ANIMATED else 1
    if image.format == "PNG" and total > 1:
        # Its header may claim more.
        total = min(total, len(Apng(data)))
    if total > 1:
        _check_animation(image.size, total, limits)
    return total


def _gif(data: bytes) -> Gif:
    # One more than allowed, to notice that there are too many.
    return Gif.read(data, _MAX_FRAMES_WALKED + 1)


def _count_gif_frames(image: Image.Image, data: bytes, limits: Limits) -> int:
    gif = _gif(data)
    if len(gif.frames) > 1:
        # A frame may be larger than the canvas, and is decoded as a whole.
        largest = max((image.size, *(frame.size for frame in gif.frames)), key=math.prod)
        _check_animation(largest, len(gif.frames), limits)
    return len(gif.frames)


def sample_frames(image: Image.Image, data: bytes, limits: Limits, seed: bytes) -> Sample:
    """Decode a whole animation and choose the frames to judge."""
    milliseconds: list[float] = []
    sketches: list[Sketch] = []
    grid = Grid(seed)
    for frame in walk(image, data, frame_count(image, data, limits), limits):
        is_default = not sketches and has_default_image(image)
        milliseconds.append(0 if is_default else frame_milliseconds(frame))
        sketches.append(grid.sketch(frame))
    last = len(sketches) - 1
    # The animation may stop on its last frame, also in formats for which Pillow does not report it.
    required = dict.fromkeys((0, min(1, last), last) if has_default_image(image) else (0, last))
    times = time_on_screen(milliseconds, plays(image, data))
    return choose(times, np.stack(sketches), tuple(required), limits.max_frames, seed)


def walk(image: Image.Image, data: bytes, count: int, limits: Limits) -> Iterator[Image.Image]:
    """Yield the first `count` frames, each loaded; stop early if the file is cut off after the first one.

    UndecodablePictureError or any error of Pillow if the first frame cannot be decoded.
    """
    if image.format == "GIF":
        yield from islice(_gif(data).composed(limits), count)
    elif image.format == "PNG" and count > 1:
        for frame in islice(Apng(data).composed(), count):
            # The file's colour profile applies to every frame.
            frame.info = image.info | frame.info
            frame.info.pop("transparency", None)
            yield frame
    else:
        yield from _loaded(image, count, limits)


def _loaded(image: Image.Image, count: int, limits: Limits) -> Iterator[Image.Image]:
    for index in range(count):
        try:
            image.seek(index)
            load_whole(image)
        except (OSError, EOFError):
            if index == 0:
                raise
            return
        # Some formats reveal the true size only now.
        limits.check_size(image.size)
        yield image


def _check_animation(size: tuple[int, int], total: int, limits: Limits) -> None:
    width, height = size
    area = width * height
    too_slow = total > _MAX_FRAMES_WALKED or total * area > limits.max_animation_pixels
    too_large = min(total, limits.max_frames) * area > limits.max_pixels
    if too_slow or too_large:
        frames = f"more than {_MAX_FRAMES_WALKED:,}" if total > _MAX_FRAMES_WALKED else f"{total:,}"
        raise UndecodablePictureError(
            f"the animation has {frames} frames of {width:,} x {height:,} pixels, more than is judged",
            kind=UndecodableKind.TOO_LARGE,
        )
