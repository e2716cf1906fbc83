"""Walks through the frames of an animation, as far as a browser shows them."""

import math
from collections.abc import Iterator
from itertools import islice
from typing import Final

import numpy as np
from PIL import Image, ImageFile

from worker.errors import UndecodableKind, UndecodablePictureError
from worker.images.decoding.display_time import (
    frame_milliseconds,
    has_default_image,
    plays,
    time_on_screen,
)
from worker.images.decoding.gif import Gif
from worker.images.decoding.png_frames import count_png_frames
from worker.images.decoding.sampling import Sample, choose
from worker.images.decoding.sketch import sketch
from worker.images.decoding.truncation import load_whole
from worker.images.limits import Limits

#: The further pictures of an MPO or a HEIC (depth, gain map, other eye) are never shown: it counts as still.
_ANIMATED: Final = frozenset({"GIF", "PNG", "WEBP", "AVIF"})
#: Reaching a frame costs time however small it is.
_MAX_FRAMES_WALKED: Final = 10_000


def frame_count(image: Image.Image, data: bytes, limits: Limits) -> int:
    """Return how many frames a picture has; UndecodablePictureError if that is more than we judge."""
    if image.format == "GIF":
        return _count_gif_frames(image, data, limits)
    total = int(getattr(image, "n_frames", 1)) if image.format in _ANIMATED else 1
    if image.format == "PNG" and total > 1:
        # Beyond the last one Pillow finds the last one again.
        total = min(total, count_png_frames(data))
    if total > 1:
        _check_animation(image.size, total, limits)
    return total


def _count_gif_frames(image: Image.Image, data: bytes, limits: Limits) -> int:
    gif = Gif.read(data)
    if len(gif.frames) > 1:
        # A frame can be larger than the canvas, and is decoded whole.
        largest = max((image.size, *(frame.size for frame in gif.frames)), key=math.prod)
        _check_animation(largest, len(gif.frames), limits)
    return len(gif.frames)


def sample_frames(image: Image.Image, data: bytes, limits: Limits, seed: bytes) -> Sample:
    """Walk through a whole animation, and choose the frames to look at."""
    milliseconds, sketches = [], []
    for frame in walk(image, data, frame_count(image, data, limits), limits):
        milliseconds.append(frame_milliseconds(frame))
        sketches.append(sketch(frame))
    last = len(sketches) - 1
    # The last one may be where the animation rests: also in formats of which Pillow does not say so.
    required = dict.fromkeys((0, min(1, last), last) if has_default_image(image) else (0, last))
    times = time_on_screen(milliseconds, plays(image, data))
    return choose(times, np.stack(sketches), tuple(required), limits.max_frames, seed)


def walk(image: Image.Image, data: bytes, count: int, limits: Limits) -> Iterator[Image.Image]:
    """Yield the first frames, each once it is loaded; end early if the file breaks off after the first one.

    UndecodablePictureError, or any error of Pillow's, if not even the first frame can be shown.
    """
    if image.format == "GIF":
        yield from islice(Gif.read(data).composed(limits), count)
        return
    for index in range(count):
        if index == 0:
            load_whole(image)
        elif not _advance(image, index):
            return
        # Some formats say the true size only now.
        limits.check_size(image.size)
        yield image


def _advance(image: Image.Image, index: int) -> bool:
    """Load the next frame; False if there is none.

    Of a broken frame of a PNG browsers show the rows that they could read, and go on with the next one.
    """
    try:
        image.seek(index)
    except EOFError:
        return False
    try:
        image.load()
    except (OSError, EOFError):
        if image.format != "PNG":
            return False
        _finish(image)
    return True


def _finish(image: Image.Image) -> None:
    """Compose a broken frame of the rows that could be read, unless Pillow did before it complained."""
    assert isinstance(image, ImageFile.ImageFile)  # noqa: S101 - every format of ours is read from a file
    if image.tile:
        image.tile = []
        image.load_end()


def _check_animation(size: tuple[int, int], total: int, limits: Limits) -> None:
    width, height = size
    area = width * height
    too_slow = total > _MAX_FRAMES_WALKED or total * area > limits.max_animation_pixels
    too_large = min(total, limits.max_frames) * area > limits.max_pixels
    if too_slow or too_large:
        raise UndecodablePictureError(
            f"the animation has {total:,} frames of {width:,} x {height:,} pixels, more than is judged",
            kind=UndecodableKind.TOO_LARGE,
        )
