"""Rewrites a PNG so that Pillow reads it as browsers do: no broken or unneeded chunks, one profile."""

import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from io import BytesIO
from itertools import takewhile
from typing import Any, Final, NamedTuple

import numpy as np
from PIL import Image, ImageCms, PngImagePlugin

from worker.errors import UndecodableKind, UndecodablePictureError
from worker.images.colours.profiles import cicp_profile, gamma_profile

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
#: Colour types.
_GREY, _RGB, _PALETTE, _GREY_ALPHA = 0, 2, 3, 4
#: Pillow ignores their checksums, as other viewers do; Chromium ignores that of the last chunk.
_PIXELS: Final = frozenset({b"IDAT", b"fdAT"})
#: Lengths in bytes of fixed-length chunks; browsers skip chunks of another length.
_LENGTHS: Final = {b"cICP": 4, b"sRGB": 1, b"gAMA": 4, b"cHRM": 32, b"acTL": 8, b"fcTL": 26}
#: Text, times and unknown chunks only cause trouble in a decoder.
_KEPT: Final = _PIXELS | _LENGTHS.keys() | {b"IHDR", b"PLTE", b"tRNS", b"iCCP", b"eXIf"}
#: Limits of a tRNS chunk; browsers skip a longer chunk, and ignore excess bytes within the limit.
_MAX_ALPHAS: Final = 256
_TRANSPARENT_BYTES: Final = {_GREY: 2, _RGB: 6, _PALETTE: 1}
#: Browsers have no limit; of a longer profile, the tags within the limit are used.
_MAX_PROFILE_BYTES: Final = 2**24
_MAX_PROFILE_NAME: Final = 80
#: Encoders write chunks of thousands of bytes. Millions of empty ones take many seconds to read.
_MAX_CHUNKS: Final = 500_000
_INTENTS: Final = range(4)
#: Unit of gamma and chromaticities.
_UNIT: Final = 1 / 100_000

# Pillow's default refuses a large profile. The limit is also for text, which a rewritten file does not have.
PngImagePlugin.MAX_TEXT_CHUNK = _MAX_PROFILE_BYTES


class _Chunk(NamedTuple):
    name: bytes
    content: bytes
    is_intact: bool


def as_browsers_read(png: bytes) -> bytes:
    """Return a PNG with only the chunks that browsers apply, as they apply them; other files unchanged.

    An optional chunk with a wrong checksum is skipped. A file that is cut off stays cut off.
    """
    if not png.startswith(SIGNATURE + b"\0\0\0\x0dIHDR"):
        return png
    chunks = list(_chunks(png))
    first = next((place for place, chunk in enumerate(chunks) if chunk.name == b"IDAT"), len(chunks))
    if not chunks[0].is_intact:
        return png
    return b"".join([SIGNATURE, *_head(chunks[:first]), *_pictures(chunks[first:]), _chunk(b"IEND", b"")])


def has_deep_transparency(png: bytes) -> bool:
    """Whether a rewritten PNG has a transparent colour of 16 bits a channel."""
    return png[24:26] == bytes([16, _RGB]) and b"tRNS" in png[: png.index(b"IDAT")]


def is_grey(png: bytes) -> bool:
    """Whether the pixels of a rewritten PNG are greys, with or without alpha."""
    return png[25] in {_GREY, _GREY_ALPHA}


def opaque_pixels(png: bytes) -> Image.Image:
    """Return the alpha channel of such a PNG; Pillow compares only the upper bytes."""
    is_transparent: Any = True
    for layout, shift in (("RGB;16B", 8), ("RGB;16L", 0)):
        with Image.open(BytesIO(png), formats=["PNG"]) as half:
            half.tile = [half.tile[0]._replace(args=layout)]
            wanted = [value >> shift & 0xFF for value in half.info["transparency"]]
            is_transparent &= (np.asarray(half) == wanted).all(axis=2)
    return Image.fromarray(np.where(is_transparent, 0, 255).astype(np.uint8))


def _chunks(png: bytes) -> Iterator[_Chunk]:
    """Yield the chunks to keep; the last one may be cut off.

    UndecodablePictureError if there are too many.
    """
    at, count = len(SIGNATURE), 0
    while at + 8 <= len(png):
        count += 1
        if count > _MAX_CHUNKS:
            raise UndecodablePictureError(
                f"the PNG has over {_MAX_CHUNKS:,} chunks, more than is judged",
                kind=UndecodableKind.TOO_LARGE,
            )
        length, name = struct.unpack_from(">I4s", png, at)
        if name == b"IEND":
            break
        end = at + 8 + length
        if name in _KEPT:
            content = png[at + 8 : end]
            yield _Chunk(name, content, _is_intact(name, content, png[end : end + 4]))
        else:
            # An empty chunk in its place: between two IDAT chunks it ends the pixels.
            yield _Chunk(b"", b"", is_intact=False)
        at = end + 4


def _is_intact(name: bytes, content: bytes, checksum: bytes) -> bool:
    has_length = len(content) == _LENGTHS.get(name, len(content))
    return name in _PIXELS or (has_length and checksum == _checksum(name, content))


def _head(chunks: list[_Chunk]) -> Iterator[bytes]:
    """Yield the chunks before the pixels: the first valid one of each name."""
    found: dict[bytes, bytes] = {}
    kind = chunks[0].content[9]
    for name, content, is_intact in chunks:
        is_early = name == b"tRNS" and kind == _PALETTE and b"PLTE" not in found
        if is_intact and not is_early and _is_valid(name, content, kind):
            found.setdefault(name, content)
        elif name == b"PLTE":
            # No browser uses a broken palette, nor a second one after it.
            found.setdefault(name, b"")
    yield _chunk(b"IHDR", found[b"IHDR"])
    if profile := _profile(found, found[b"IHDR"][9]):
        yield _chunk(b"iCCP", b"colours\0\0" + zlib.compress(profile, 1))
    yield from _palette(found)
    for name in (b"eXIf", b"acTL", b"fcTL"):
        if name in found:
            yield _chunk(name, found[name])


def _is_valid(name: bytes, content: bytes, kind: int) -> bool:
    """Whether browsers accept a chunk's content; otherwise a later one of the same name may count."""
    match name:
        case b"gAMA":
            return any(content)
        case b"sRGB":
            return content[0] in _INTENTS
        case b"tRNS":
            return _TRANSPARENT_BYTES.get(kind, 0) <= len(content) <= _MAX_ALPHAS
        case _:
            return True


def _pictures(chunks: list[_Chunk]) -> Iterator[bytes]:
    """Yield the compressed pixels, and the frames up to the first invalid one.

    Browsers read only the first run of IDAT chunks. It is merged into one chunk: a file may have millions.
    """
    run = list(takewhile(lambda chunk: chunk.name == b"IDAT", chunks))
    yield _chunk(b"IDAT", b"".join(chunk.content for chunk in run))
    for name, content, is_intact in chunks[len(run) :]:
        if name == b"IDAT" or (name == b"fcTL" and not is_intact):
            return
        if name in {b"fcTL", b"fdAT"}:
            yield _chunk(name, content)


def _palette(found: Mapping[bytes, bytes]) -> Iterator[bytes]:
    """Yield palette and transparency; indices beyond the palette's end get its last colour and alpha."""
    depth, kind = found[b"IHDR"][8:10]
    alphas = found.get(b"tRNS", b"")
    if kind == _PALETTE:
        colours = found.get(b"PLTE", b"")
        count = len(colours) // 3
        if not count:
            raise UndecodablePictureError("the picture is broken: it has no palette")
        alphas = alphas[:count]
        missing = max(0, 2 ** min(depth, 8) - count)
        yield _chunk(b"PLTE", colours[: 3 * count] + missing * colours[3 * count - 3 : 3 * count])
        if alphas:
            alphas = alphas.ljust(count, b"\xff")
            yield _chunk(b"tRNS", alphas + missing * alphas[-1:])
    elif alphas and kind in {_GREY, _RGB}:
        value = alphas[: _TRANSPARENT_BYTES[kind]]
        # At 16 bits Chromium compares the whole chunk.
        if depth < 16 or value == alphas:
            yield _chunk(b"tRNS", _transparent_grey(value, depth) if kind == _GREY else value)


def _transparent_grey(value: bytes, depth: int) -> bytes:
    """Return a transparent grey scaled to eight bits, as Pillow scales the pixels it is compared with."""
    if depth not in {2, 4}:
        return value
    most = 2**depth - 1
    return struct.pack(">H", (value[1] & most) * 255 // most)


def _profile(found: Mapping[bytes, bytes], kind: int) -> bytes | None:
    """Return the profile that browsers apply: cICP, else iCCP, else sRGB, else gAMA with cHRM, or None.

    The order of PNG's third edition, 4.3; a broken or unknown one is passed over.
    """
    primaries, transfer, matrix, full_range = found.get(b"cICP", bytes(4))
    if (matrix, full_range) == (0, 1) and (profile := cicp_profile(primaries, transfer)):
        return profile
    if profile := _embedded(found.get(b"iCCP", b"")):
        return profile if _fits(profile, kind) else None
    if b"sRGB" in found or b"gAMA" not in found:
        return None
    gamma = int.from_bytes(found[b"gAMA"]) * _UNIT
    if b"cHRM" not in found:
        return gamma_profile(gamma)
    return gamma_profile(gamma, [value * _UNIT for value in struct.unpack(">8I", found[b"cHRM"])])


def _embedded(chunk: bytes) -> bytes | None:
    """Return the profile of an iCCP chunk; None if it is cut off or invalid."""
    name, _, packed = chunk.partition(b"\0")
    if not 0 < len(name) <= _MAX_PROFILE_NAME or packed[:1] != b"\0":
        return None
    with suppress(zlib.error, OSError, ImageCms.PyCMSError):
        decompressor = zlib.decompressobj()
        profile = decompressor.decompress(packed[1:], _MAX_PROFILE_BYTES)
        is_whole = decompressor.eof and int.from_bytes(profile[:4]) <= len(profile)
        if is_whole or len(profile) == _MAX_PROFILE_BYTES:
            ImageCms.ImageCmsProfile(BytesIO(profile))
            return profile
    return None


def _fits(profile: bytes, kind: int) -> bool:
    """Whether browsers apply a profile to pixels of this colour type."""
    space = profile[16:20].strip()
    return space == b"RGB" or (space == b"GRAY" and kind in {_GREY, _GREY_ALPHA})


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + _checksum(name, content)


def _checksum(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", zlib.crc32(content, zlib.crc32(name)))
