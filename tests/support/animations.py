"""Draws animations with numbered frames, and reports which frames a decoder judged."""

import struct
import zlib
from collections.abc import Sequence
from random import Random

import numpy as np
from PIL import Image, ImageDraw
from support.pictures import encoded

from worker.images.decoding.decoder import Picture

SIZE = (48, 48)
_CELLS = 4
_BITS = _CELLS * _CELLS
_ODD = 40_503


def numbered(number: int, size: tuple[int, int] = SIZE) -> Image.Image:
    """Return a picture of large black and white cells, distinct for each number."""
    cells = Image.new("L", (_CELLS, _CELLS))
    cells.putdata([255 * bit for bit in _bits(number)])
    return cells.resize(size, Image.Resampling.NEAREST).convert("RGB")


def numbers_seen(picture: Picture, most: int = 256) -> list[int]:
    """Return the numbers of the frames that were judged."""
    known = {_bits(number): number for number in range(most)}
    return [known[_read(frame)] for frame in picture.frames]


def _bits(number: int) -> tuple[int, ...]:
    # The factor is odd, so that no two numbers have the same bits.
    scattered = number * _ODD % 2**_BITS
    return tuple(scattered >> bit & 1 for bit in range(_BITS))


def _read(frame: Image.Image) -> tuple[int, ...]:
    small = frame.convert("L").resize((_CELLS, _CELLS), Image.Resampling.BOX)
    return tuple(int(value > 127) for value in small.get_flattened_data())


def panned(photo: Image.Image, count: int, span: float) -> Sequence[Image.Image]:
    """Return frames of a camera that pans over this share of a photograph's width."""
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


def noisy(number: int) -> Image.Image:
    """Return a red picture if the number is 0, else a green one; noise makes the file long enough to cut."""
    noise = np.random.default_rng(number).integers(0, 60, (48, 48, 3), np.uint8)
    colour = (0, 180, 0) if number else (180, 0, 0)
    return Image.fromarray(noise + np.array(colour, np.uint8))


def grown_gif() -> bytes:
    """Return a GIF of 32 x 32 whose second frame is 80 x 32: green, and blue beyond the picture."""
    wide = Image.new("P", (80, 32), 0)
    wide.putpalette([0, 255, 0, 0, 0, 255])
    wide.paste(1, (32, 0, 80, 32))
    first, second = encoded(Image.new("P", (32, 32), 0), "GIF"), encoded(wide, "GIF")
    frame = second[second.index(b",\0\0\0\0") : -1]
    colours = second[13 : 13 + 3 * 2 ** ((second[10] & 7) + 1)]
    return first[:-1] + frame[:9] + bytes([0x80 | second[10] & 7]) + colours + frame[10:] + b";"


def with_a_broken_frame(data: bytes, kind: str) -> bytes:
    """Return a GIF or a PNG with a few wrong bytes in the pixels of its third frame."""
    begin = {"GIF": b",\0\0\0\0", "PNG": b"fdAT"}[kind]
    place = -1
    for _ in range({"GIF": 3, "PNG": 2}[kind]):
        place = data.index(begin, place + 1)
    return data[: place + 1000] + b"\xff" * 4 + data[place + 1004 :]


def random_gif(random: Random, frames: int = 4) -> bytes:
    """Return a GIF of 16 x 16 whose frames are drawn and disposed of in every way, some with holes."""
    colours = bytes([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
    parts = [b"GIF89a", struct.pack("<HHBBB", 16, 16, 0x81, random.choice([0, 2]), 0), colours]
    for number in range(frames):
        is_full = number == 0 and random.random() < 0.7
        width, height = (16, 16) if is_full else random.choices((6, 10), k=2)
        left, top = (0, 0) if is_full else random.choices(range(7), k=2)
        hole, colour = random.choice([None, None, 0, 3]), random.randrange(4)
        has_holes = hole is not None and random.random() < 0.5
        pixels = [hole if has_holes and (n + n // width) % 2 else colour for n in range(width * height)]
        control = (random.randrange(8) << 2 | (hole is not None), 10, hole or 0)
        parts += [b"!\xf9\x04", struct.pack("<BHBx", *control)]
        parts += [b",", struct.pack("<HHHHB", left, top, width, height, 0), _lzw(pixels)]
    return b"".join(parts) + b";"


def _lzw(pixels: Sequence[int | None]) -> bytes:
    """Return two-bit pixels as GIF packs them, uncompressed: a clear code before every second one."""
    codes = [code for n, pixel in enumerate(pixels) for code in ([4] * (n % 2 == 0) + [pixel or 0])] + [5]
    packed = sum(code << 3 * n for n, code in enumerate(codes))
    data = packed.to_bytes(3 * len(codes) // 8 + 1, "little")
    blocks = [data[n : n + 255] for n in range(0, len(data), 255)]
    return b"\x02" + b"".join(bytes([len(block)]) + block for block in blocks) + b"\0"


def random_apng(random: Random, frames: int = 4) -> bytes:
    """Return a PNG of 16 x 16 whose frames are blended and disposed of in every way, some with holes."""
    has_alpha, has_default = random.random() < 0.5, random.random() < 0.5
    kind = 6 if has_alpha else 2
    parts = [_chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 8, kind, 0, 0, 0))]
    parts.append(_chunk(b"acTL", struct.pack(">II", frames, 0)))
    if has_default:
        parts.append(_chunk(b"IDAT", _rows(16, 16, random, has_alpha)))
    sequence = 0
    for number in range(frames):
        is_full = number == 0 and not has_default
        width, height = (16, 16) if is_full else random.choices((6, 10), k=2)
        left, top = (0, 0) if is_full else random.choices(range(7), k=2)
        ways = (random.randrange(3), random.randrange(2))
        control = struct.pack(">IIIIIHHBB", sequence, width, height, left, top, 10, 100, *ways)
        pixels = _rows(width, height, random, has_alpha)
        parts.append(_chunk(b"fcTL", control))
        if is_full:
            parts.append(_chunk(b"IDAT", pixels))
        else:
            parts.append(_chunk(b"fdAT", struct.pack(">I", sequence + 1) + pixels))
        sequence += 1 if is_full else 2
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + _chunk(b"IEND", b"")


#: Fields of a control chunk, or bytes of it, that make a frame of 16 x 16 invalid.
INVALID_APNG: dict[str, dict[str, int]] = {
    "beyond the right": {"left": 1},
    "beyond the bottom": {"top": 1},
    "no width": {"width": 0},
    "no height": {"height": 0},
    "disposal 3": {"disposal": 3},
    "blending 2": {"blending": 2},
    "sequence": {"sequence": 6},
    "sequence again": {"sequence": 0},
    "checksum": {"damage": -1},
}
_FIELDS = {
    "width": 16,
    "height": 16,
    "left": 0,
    "top": 0,
    "tenths": 1,
    "of": 10,
    "disposal": 0,
    "blending": 0,
}


def apng_of_three(wrong: dict[str, int] | None) -> bytes:
    """Return a PNG of three frames, the second with wrong fields."""
    parts = [
        _chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 8, 2, 0, 0, 0)),
        _chunk(b"acTL", bytes([0, 0, 0, 3, 0, 0, 0, 0])),
    ]
    for number in range(3):
        fields = {"sequence": max(0, 2 * number - 1)} | _FIELDS | (wrong or {} if number == 1 else {})
        damage = fields.pop("damage", 0)
        control = _chunk(b"fcTL", struct.pack(">IIIIIHHBB", *fields.values()))
        parts.append(control[:-1] + bytes([control[-1] ^ 1]) if damage else control)
        pixels = _rows(16, 16, Random(number), has_alpha=False)
        name, sequence = (b"fdAT", struct.pack(">I", 2 * number)) if number else (b"IDAT", b"")
        parts.append(_chunk(name, sequence + pixels))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + _chunk(b"IEND", b"")


def _rows(width: int, height: int, random: Random, has_alpha: bool) -> bytes:
    """Return the pixels of one colour, with holes in some if there is alpha, as a PNG packs them."""
    colour = bytes(random.choice([0, 255]) for _ in range(3))
    has_holes = has_alpha and random.random() < 0.5
    full, hole = (colour + b"\xff", b"\0\0\0\0") if has_alpha else (colour, colour)
    pixels = [hole if has_holes and (n + n // width) % 2 else full for n in range(width * height)]
    rows = (b"\0" + b"".join(pixels[y * width : (y + 1) * width]) for y in range(height))
    return zlib.compress(b"".join(rows))


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
