"""Rewrites a BMP to what browsers read of it: pixels of any bit fields, from where its header says."""

import struct
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

_FILE_HEADER_BYTES: Final = 14
_CORE_BYTES, _INFO_BYTES, _V3_BYTES, _V5_BYTES = 12, 40, 56, 124
#: The field that says where a profile is, and how long; from the beginning of BITMAPV5HEADER.
_PROFILE_PLACE: Final = 112
_EMBEDDED: Final = b"DEBM"
_NO_COMPRESSION, _BIT_FIELDS, _ALPHA_BIT_FIELDS = 0, 3, 6
#: Red, green, blue and alpha, as Pillow knows them.
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


def as_browsers_read(bmp: bytes) -> bytes:
    """Return a BMP that Pillow reads as browsers do; anything else as it is."""
    if not bmp.startswith(b"BM"):
        return bmp
    try:
        header = _header(bmp)
        masks = _masks(bmp, header)
        return _unpacked(bmp, header, masks) if masks else _where_pixels_begin(bmp, header)
    except (struct.error, ValueError):
        return bmp


def embedded_profile(bmp: bytes) -> bytes | None:
    """Return the ICC profile of a BMP's fifth version; None without one."""
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
    """Return which bits are red, green, blue and alpha; nothing if the usual ones are."""
    if header.bits not in {16, 32} or header.size < _INFO_BYTES:
        return ()
    has_alpha = header.size >= _V3_BYTES or header.compression == _ALPHA_BIT_FIELDS
    alpha = struct.unpack_from("<I", bmp, 66) if has_alpha else (0,)
    if header.compression in {_BIT_FIELDS, _ALPHA_BIT_FIELDS}:
        return struct.unpack_from("<3I", bmp, 54) + alpha
    if header.compression == _NO_COMPRESSION and alpha[0]:
        return (_USUAL_MASKS[:3] if header.bits == 32 else _USUAL_MASKS_OF_16_BITS) + alpha
    return ()


def _unpacked(bmp: bytes, header: _Header, masks: tuple[int, ...]) -> bytes:
    """Return the same picture with eight bits a channel."""
    words = (header.width * header.bits + 31) // 32 * 32 // header.bits
    kind = np.dtype(f"<u{header.bits // 8}")
    pixels = np.frombuffer(bmp, kind, words * abs(header.height), header.start)
    rows = pixels.reshape(abs(header.height), words)[:, : header.width].astype(np.uint64)
    red, green, blue, alpha = masks
    channels = [_channel(rows, mask) for mask in (blue, green, red)]
    channels.append(_channel(rows, alpha) if alpha else np.full(rows.shape, 255, np.uint8))
    content = np.stack(channels, axis=-1).tobytes()
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


def _where_pixels_begin(bmp: bytes, header: _Header) -> bytes:
    """Return a BMP whose pixels do not begin before its palette's end: Pillow would look elsewhere."""
    entry_bytes = 3 if header.size == _CORE_BYTES else 4
    palette_bytes = entry_bytes * (header.colours or 2**header.bits) if header.bits <= 8 else 0
    end = _FILE_HEADER_BYTES + header.size + palette_bytes
    if header.start >= end:
        return bmp
    if not header.start:
        return bmp[:10] + struct.pack("<I", end) + bmp[14:]
    return bmp[:10] + struct.pack("<I", len(bmp)) + bmp[14:] + bmp[header.start :]
