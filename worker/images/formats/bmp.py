"""Rewrites a BMP so that Pillow reads it as browsers do: bit fields, run lengths, start of its pixels."""

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from worker.images.formats.truncation import cut_off
from worker.images.limits import Limits

_FILE_HEADER_BYTES: Final = 14
_CORE_BYTES, _INFO_BYTES, _V3_BYTES, _V5_BYTES = 12, 40, 56, 124
#: Place of the fields with a profile's offset and length, from the beginning of BITMAPV5HEADER.
_PROFILE_PLACE: Final = 112
_EMBEDDED: Final = b"DEBM"
_NO_COMPRESSION, _BIT_FIELDS, _ALPHA_BIT_FIELDS = 0, 3, 6
#: Compression and bits a pixel of run-length encoding.
_RUN_LENGTHS: Final = frozenset({(1, 8), (2, 4)})
_END_OF_ROW, _END_OF_PICTURE, _DELTA = range(3)
#: An index outside every palette, for pixels that run lengths skip.
_SKIPPED: Final = 256
_COLOURS_PLACE: Final = 46
#: Bits a pixel that Pillow does not support with a palette, unlike 1, 4 and 8.
_TWO_BITS: Final = 2
#: Red, green, blue and alpha, as Pillow supports them.
_USUAL_MASKS: Final = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
_USUAL_MASKS_OF_16_BITS: Final = (0x7C00, 0x3E0, 0x1F)


class _Header(NamedTuple):
    size: int
    width: int
    height: int
    bits: int
    compression: int
    colours: int
    #: From the beginning of the file.
    start: int


def as_browsers_read(bmp: bytes, limits: Limits) -> bytes:
    """Return a BMP that Pillow reads as browsers do; other files unchanged.

    UndecodablePictureError if it is too large.
    """
    if not bmp.startswith(b"BM"):
        return bmp
    try:
        header = _header(bmp)
        if masks := _masks(bmp, header):
            return _with_pixels(bmp, header, _unmasked(bmp, header, masks))
        if header.bits == _TWO_BITS or (header.compression, header.bits) in _RUN_LENGTHS:
            limits.check_size((header.width, abs(header.height)))
            return _with_pixels(bmp, header, _coloured(bmp, header))
        return _with_pixels_after_palette(bmp, header)
    except (struct.error, ValueError):
        return bmp


def embedded_profile(bmp: bytes) -> bytes | None:
    """Return the ICC profile of a version 5 BMP; None if it has none."""
    try:
        (size,) = struct.unpack_from("<I", bmp, _FILE_HEADER_BYTES)
        if size != _V5_BYTES or bmp[70:74] != _EMBEDDED:
            return None
        start, length = struct.unpack_from("<II", bmp, _FILE_HEADER_BYTES + _PROFILE_PLACE)
    except struct.error:
        return None
    return bmp[_FILE_HEADER_BYTES + start :][:length] or None


def _header(bmp: bytes) -> _Header:
    start, size = struct.unpack_from("<II", bmp, 10)
    if size < _INFO_BYTES:
        width, height, _, bits = struct.unpack_from("<HHHH", bmp, 18)
        return _Header(size, width, height, bits, _NO_COMPRESSION, 0, start)
    width, height, _, bits, compression, _, _, _, colours, _ = struct.unpack_from("<iiHHIIiiII", bmp, 18)
    return _Header(size, width, height, bits, compression, colours, start)


def _masks(bmp: bytes, header: _Header) -> tuple[int, ...]:
    """Return the bit masks of red, green, blue and alpha; () for the usual ones."""
    if header.bits not in {16, 32} or header.size < _INFO_BYTES:
        return ()
    has_alpha = header.size >= _V3_BYTES or header.compression == _ALPHA_BIT_FIELDS
    alpha = struct.unpack_from("<I", bmp, 66) if has_alpha else (0,)
    if header.compression in {_BIT_FIELDS, _ALPHA_BIT_FIELDS}:
        return struct.unpack_from("<3I", bmp, 54) + alpha
    if header.compression == _NO_COMPRESSION and alpha[0]:
        return (_USUAL_MASKS[:3] if header.bits == 32 else _USUAL_MASKS_OF_16_BITS) + alpha
    return ()


def _unmasked(bmp: bytes, header: _Header, masks: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return blue, green, red and alpha of every pixel, rows in file order."""
    words = (header.width * header.bits + 31) // 32 * 32 // header.bits
    kind = np.dtype(f"<u{header.bits // 8}")
    pixels = np.frombuffer(bmp, kind, words * abs(header.height), header.start)
    rows = pixels.reshape(abs(header.height), words)[:, : header.width].astype(np.uint64)
    red, green, blue, alpha = masks
    channels = [_channel(rows, mask) for mask in (blue, green, red)]
    channels.append(_channel(rows, alpha) if alpha else np.full(rows.shape, 255, np.uint8))
    return np.stack(channels, axis=-1)


def _coloured(bmp: bytes, header: _Header) -> NDArray[np.uint8]:
    """Return the same for indexed pixels that Pillow cannot read; an index outside the palette is black."""
    indices = _two_bits(bmp, header) if header.bits == _TWO_BITS else _run_lengths(bmp, header)
    palette = np.frombuffer(bmp, np.uint8, _palette_bytes(header), _FILE_HEADER_BYTES + header.size)
    colours = np.zeros((_SKIPPED + 1, 4), np.uint8)
    entries = palette.reshape(-1, _entry_bytes(header))[:, :3]
    colours[: len(entries), :3] = entries
    colours[:, 3] = 255
    return colours[indices]


def _two_bits(bmp: bytes, header: _Header) -> NDArray[np.uint8]:
    row_bytes = (header.width * _TWO_BITS + 31) // 32 * 4
    packed = np.frombuffer(bmp, np.uint8, row_bytes * abs(header.height), header.start)
    pixels = packed[:, None] >> np.array([6, 4, 2, 0], np.uint8) & np.uint8(3)
    return pixels.reshape(abs(header.height), -1)[:, : header.width]


def _run_lengths(bmp: bytes, header: _Header) -> NDArray[np.uint16]:
    """Return the palette index of every pixel; UndecodablePictureError if the file ends too early."""
    width, height = header.width, abs(header.height)
    # With millions of short runs, slices of bytes are several times faster than those of arrays.
    pixels, is_skipped = bytearray(width * height), bytearray(b"\1") * (width * height)
    try:
        for x, y, run in _runs(bmp, header.start, header.bits):
            if y >= height:
                break
            shown = run[: max(0, width - x)]
            place = slice(y * width + x, y * width + x + len(shown))
            pixels[place], is_skipped[place] = shown, bytes(len(shown))
    except IndexError as problem:
        raise cut_off() from problem
    indices = np.frombuffer(pixels, np.uint8).astype(np.uint16)
    indices[np.frombuffer(is_skipped, np.bool_)] = _SKIPPED
    return indices.reshape(height, width)


def _runs(bmp: bytes, at: int, bits: int) -> Iterator[tuple[int, int, bytes]]:
    """Yield column, row and indices of every run; IndexError if the end of the picture is missing."""
    x = y = 0
    while True:
        length, value = bmp[at], bmp[at + 1]
        at += 2
        run = b""
        if length:
            run = _indices(bytes([value]) * length, length, bits)
        elif value == _END_OF_ROW:
            x, y = 0, y + 1
        elif value == _END_OF_PICTURE:
            return
        elif value == _DELTA:
            x, y, at = x + bmp[at], y + bmp[at + 1], at + 2
        else:
            packed = -(-value * bits // 8)
            run = _indices(bmp[at : at + packed], value, bits)
            at += packed + packed % 2
        yield x, y, run
        x += len(run)


def _indices(packed: bytes, length: int, bits: int) -> bytes:
    if bits == 8:
        return packed[:length]
    pixels = np.frombuffer(packed, np.uint8)
    return np.stack([pixels >> 4, pixels & 0xF], axis=1).tobytes()[:length]


def _with_pixels(bmp: bytes, header: _Header, pixels: NDArray[np.uint8]) -> bytes:
    """Return a BMP with these pixels, eight bits a channel, and the profile of `bmp`."""
    content = pixels.tobytes()
    profile = embedded_profile(bmp) or b""
    info = struct.pack("<IiiHHI", _V5_BYTES, header.width, header.height, 1, 32, _BIT_FIELDS)
    info += struct.pack("<IiiII4I", len(content), 0, 0, 0, 0, *_USUAL_MASKS) + _EMBEDDED
    info = info.ljust(_PROFILE_PLACE, b"\0") + struct.pack("<III", _V5_BYTES + len(content), len(profile), 0)
    start = _FILE_HEADER_BYTES + _V5_BYTES
    return (
        struct.pack("<2sIII", b"BM", start + len(content) + len(profile), 0, start) + info + content + profile
    )


def _channel(pixels: NDArray[np.uint64], mask: int) -> NDArray[np.uint8]:
    if not mask:
        return np.zeros(pixels.shape, np.uint8)
    shift = (mask & -mask).bit_length() - 1
    values = (pixels & np.uint64(mask)) >> np.uint64(shift)
    return (values * np.uint64(255) // np.uint64(mask >> shift)).astype(np.uint8)


def _with_pixels_after_palette(bmp: bytes, header: _Header) -> bytes:
    """Return a BMP whose pixels begin after its palette; otherwise Pillow would read them from elsewhere."""
    end = _FILE_HEADER_BYTES + header.size + _palette_bytes(header)
    if header.size >= _INFO_BYTES and header.bits <= 8 and header.colours > (1 << header.bits):
        # Pillow refuses larger palettes, and browsers ignore the excess.
        bmp = bmp[:_COLOURS_PLACE] + bytes(4) + bmp[_COLOURS_PLACE + 4 :]
    if header.start >= end:
        return bmp
    return bmp[:10] + struct.pack("<I", len(bmp)) + bmp[14:] + bmp[header.start :]


def _palette_bytes(header: _Header) -> int:
    if header.bits > 8:
        return 0
    return _entry_bytes(header) * min(header.colours or (1 << header.bits), (1 << header.bits))


def _entry_bytes(header: _Header) -> int:
    return 3 if header.size == _CORE_BYTES else 4
