"""Rewrites a PNG to what browsers read of it: broken and needless chunks go, one profile says its colours."""

import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from io import BytesIO
from typing import Any, Final, NamedTuple

import numpy as np
from PIL import Image, ImageCms

from worker.images.decoding.profiles import cicp_profile, gamma_profile

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
#: Neither browsers nor Pillow heed the checksum of what is compressed.
_PIXELS: Final = frozenset({b"IDAT", b"fdAT"})
#: Bytes of chunks that always have as many; browsers skip those of another length.
_LENGTHS: Final = {b"cICP": 4, b"sRGB": 1, b"gAMA": 4, b"cHRM": 32, b"acTL": 8, b"fcTL": 26}
#: Of text, times and unknown chunks a decoder only has trouble.
_KEPT: Final = _PIXELS | _LENGTHS.keys() | {b"IHDR", b"PLTE", b"tRNS", b"iCCP", b"eXIf"}
_MAX_PROFILE_BYTES: Final = 2**20
_INTENTS: Final = range(4)
#: What gamma and chromaticities are multiples of.
_UNIT: Final = 1 / 100_000
_GREY, _RGB, _PALETTE, _GREY_ALPHA = 0, 2, 3, 4


class _Chunk(NamedTuple):
    name: bytes
    content: bytes
    is_intact: bool


def as_browsers_read(png: bytes) -> bytes:
    """Return a PNG of the chunks that browsers heed, as they heed them; anything else as it is.

    A chunk that is not needed is skipped if its checksum is wrong. A file that ends early stays as short.
    """
    if not png.startswith(SIGNATURE + b"\0\0\0\x0dIHDR"):
        return png
    chunks = list(_chunks(png))
    first = next((place for place, chunk in enumerate(chunks) if chunk.name == b"IDAT"), len(chunks))
    if not chunks[0].is_intact:
        return png
    return b"".join([SIGNATURE, *_head(chunks[:first]), *_pictures(chunks[first:]), _chunk(b"IEND", b"")])


def has_deep_transparency(png: bytes) -> bool:
    """Whether a rewritten PNG names a transparent colour in 16 bits a channel."""
    return png[24:26] == bytes([16, _RGB]) and b"tRNS" in png[: png.index(b"IDAT")]


def opaque_pixels(png: bytes) -> Image.Image:
    """Return the alpha of such a PNG; Pillow compares no more than the upper halves."""
    is_transparent: Any = True
    for layout, shift in (("RGB;16B", 8), ("RGB;16L", 0)):
        with Image.open(BytesIO(png), formats=["PNG"]) as half:
            half.tile = [half.tile[0]._replace(args=layout)]
            wanted = [value >> shift & 0xFF for value in half.info["transparency"]]
            is_transparent &= (np.asarray(half) == wanted).all(axis=2)
    return Image.fromarray(np.where(is_transparent, 0, 255).astype(np.uint8))


def _chunks(png: bytes) -> Iterator[_Chunk]:
    """Yield the chunks that matter; the last one may be cut off."""
    at = len(SIGNATURE)
    while at + 8 <= len(png):
        length, name = struct.unpack_from(">I4s", png, at)
        if name == b"IEND":
            break
        end = at + 8 + length
        if name in _KEPT:
            content = png[at + 8 : end]
            yield _Chunk(name, content, _is_intact(name, content, png[end : end + 4]))
        else:
            # Between two chunks of pixels it ends them.
            yield _Chunk(b"", b"", is_intact=False)
        at = end + 4


def _is_intact(name: bytes, content: bytes, checksum: bytes) -> bool:
    has_length = len(content) == _LENGTHS.get(name, len(content))
    return name in _PIXELS or (has_length and checksum == _checksum(name, content))


def _head(chunks: list[_Chunk]) -> Iterator[bytes]:
    """Yield what stands before the pixels; the first of each kind counts, and what is broken does not."""
    found: dict[bytes, bytes] = {}
    for name, content, is_intact in chunks:
        is_early = name == b"tRNS" and chunks[0].content[9] == _PALETTE and b"PLTE" not in found
        if is_intact and not is_early:
            found.setdefault(name, content)
        elif name == b"PLTE":
            # No browser shows colours of a broken palette.
            found.setdefault(name, b"")
    yield _chunk(b"IHDR", found[b"IHDR"])
    if profile := _profile(found, found[b"IHDR"][9]):
        yield _chunk(b"iCCP", b"colours\0\0" + zlib.compress(profile, 1))
    yield from _palette(found)
    for name in (b"eXIf", b"acTL", b"fcTL"):
        if name in found:
            yield _chunk(name, found[name])


def _pictures(chunks: list[_Chunk]) -> Iterator[bytes]:
    """Yield the compressed pixels, and the frames; browsers read the first run of IDAT chunks alone."""
    has_ended = False
    for name, content, is_intact in chunks:
        has_ended |= name != b"IDAT"
        if name == b"fdAT" or (name == b"IDAT" and not has_ended) or (name == b"fcTL" and is_intact):
            yield _chunk(name, content)


def _palette(found: Mapping[bytes, bytes]) -> Iterator[bytes]:
    """Yield palette and transparency; what is beyond a palette's end has its last colour, and its alpha."""
    depth, kind = found[b"IHDR"][8:10]
    alphas = found.get(b"tRNS", b"")
    if kind == _PALETTE and (colours := found.get(b"PLTE", b"")):
        count = len(colours) // 3
        alphas = alphas if len(alphas) <= count else b""
        missing = max(0, 2 ** min(depth, 8) - count)
        yield _chunk(b"PLTE", colours[: 3 * count] + missing * colours[3 * count - 3 : 3 * count])
        if alphas:
            alphas = alphas.ljust(count, b"\xff")
            yield _chunk(b"tRNS", alphas + missing * alphas[-1:])
    elif (kind, len(alphas)) in {(_GREY, 2), (_RGB, 6)}:
        yield _chunk(b"tRNS", _transparent_grey(alphas, depth) if kind == _GREY else alphas)


def _transparent_grey(value: bytes, depth: int) -> bytes:
    """Return a transparent grey as Pillow compares it: scaled to eight bits, as it scales the pixels."""
    if depth not in {2, 4}:
        return value
    most = 2**depth - 1
    return struct.pack(">H", (value[1] & most) * 255 // most)


def _profile(found: Mapping[bytes, bytes], kind: int) -> bytes | None:
    """Return the profile that browsers follow: cICP, else iCCP, else sRGB, else gAMA with cHRM, or None.

    The order of PNG's third edition, 4.3; what is broken or unknown leaves it to the next.
    """
    primaries, transfer, matrix, full_range = found.get(b"cICP", bytes(4))
    if (matrix, full_range) == (0, 1) and (profile := cicp_profile(primaries, transfer)):
        return profile
    if profile := _embedded(found.get(b"iCCP", b""), kind):
        return profile
    (intent,) = found.get(b"sRGB", b"\xff")
    if intent in _INTENTS or b"gAMA" not in found:
        return None
    gamma = int.from_bytes(found[b"gAMA"]) * _UNIT
    if b"cHRM" not in found:
        return gamma_profile(gamma)
    return gamma_profile(gamma, [value * _UNIT for value in struct.unpack(">8I", found[b"cHRM"])])


def _embedded(chunk: bytes, kind: int) -> bytes | None:
    """Return the profile of an iCCP chunk; None of what is too large or no profile for these pixels."""
    _, _, packed = chunk.partition(b"\0")
    with suppress(zlib.error, OSError, ImageCms.PyCMSError):
        profile = zlib.decompressobj().decompress(packed[1:], _MAX_PROFILE_BYTES)
        space = ImageCms.ImageCmsProfile(BytesIO(profile)).profile.xcolor_space.strip()
        if space == "RGB" or (space == "GRAY" and kind in {_GREY, _GREY_ALPHA}):
            return profile
    return None


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + _checksum(name, content)


def _checksum(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", zlib.crc32(content, zlib.crc32(name)))
