"""Draws animations and says which of their frames a decoder looked at: each frame is a number's picture."""

from collections.abc import Sequence

from PIL import Image, ImageDraw

from worker.images.decoding.decoder import Picture

SIZE = (48, 48)
_CELLS = 4
_BITS = _CELLS * _CELLS
_ODD = 40_503


def numbered(number: int, size: tuple[int, int] = SIZE) -> Image.Image:
    """Return a picture of big black and white cells that no other number has."""
    cells = Image.new("L", (_CELLS, _CELLS))
    cells.putdata([255 * bit for bit in _bits(number)])
    return cells.resize(size, Image.Resampling.NEAREST).convert("RGB")


def numbers_seen(picture: Picture, most: int = 256) -> list[int]:
    """Return which numbers the frames show that were looked at."""
    known = {_bits(number): number for number in range(most)}
    return [known[_read(frame)] for frame in picture.frames]


def _bits(number: int) -> tuple[int, ...]:
    # Odd, so that no two numbers have the same bits.
    scattered = number * _ODD % 2**_BITS
    return tuple(scattered >> bit & 1 for bit in range(_BITS))


def _read(frame: Image.Image) -> tuple[int, ...]:
    small = frame.convert("L").resize((_CELLS, _CELLS), Image.Resampling.BOX)
    return tuple(int(value > 127) for value in small.get_flattened_data())


def panned(photo: Image.Image, count: int, span: float) -> Sequence[Image.Image]:
    """Return frames of a camera that turns over this share of a photograph's width."""
    width = photo.width * (1 - span)
    lefts = [photo.width * span * step / (count - 1) for step in range(count)]
    return [photo.resize((240, 180), box=(left, 0, left + width, photo.height)) for left in lefts]


def talking(photo: Image.Image, count: int) -> Sequence[Image.Image]:
    """Return frames of a still scene in which a mouth opens and closes."""
    frames = [photo.resize((240, 180)) for _ in range(count)]
    for step, frame in enumerate(frames):
        height = 2 + 3 * (step % 5)
        ImageDraw.Draw(frame).ellipse((105, 100 - height, 135, 100 + height), fill=(60, 20, 25))
    return frames
