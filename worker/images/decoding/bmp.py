"""Reads of a BMP's header what Pillow does not: its colour profile, and the alpha of 32 bits a pixel."""

import struct
from typing import Final

_FILE_HEADER_BYTES: Final = 14
#: Of BITMAPV5HEADER, whose field says where a profile is, from the beginning of that header.
_V5_BYTES: Final = 124
_EMBEDDED: Final = b"DEBM"
_V3_BYTES: Final = 56
_NO_COMPRESSION, _BIT_FIELDS = 0, 3
#: The masks that 32 bits have without any of their own.
_USUAL_MASKS: Final = struct.pack("<3I", 0xFF0000, 0xFF00, 0xFF)


def as_browsers_read(bmp: bytes) -> bytes:
    """Return a BMP whose header names its alpha mask as Pillow heeds it; anything else as it is."""
    if not bmp.startswith(b"BM") or len(bmp) < _FILE_HEADER_BYTES + _V3_BYTES:
        return bmp
    size, bits, compression = (*struct.unpack_from("<I", bmp, 14), *struct.unpack_from("<HI", bmp, 28))
    (alpha,) = struct.unpack_from("<I", bmp, 66)
    if size < _V3_BYTES or (bits, compression) != (32, _NO_COMPRESSION) or not alpha:
        return bmp
    return bmp[:30] + struct.pack("<I", _BIT_FIELDS) + bmp[34:54] + _USUAL_MASKS + bmp[66:]


def embedded_profile(bmp: bytes) -> bytes | None:
    """Return the ICC profile of a BMP's fifth version; None without one."""
    try:
        (size,) = struct.unpack_from("<I", bmp, _FILE_HEADER_BYTES)
        if size != _V5_BYTES or bmp[70:74] != _EMBEDDED:
            return None
        start, length = struct.unpack_from("<II", bmp, _FILE_HEADER_BYTES + 112)
    except struct.error:
        return None
    return bmp[_FILE_HEADER_BYTES + start :][:length] or None
