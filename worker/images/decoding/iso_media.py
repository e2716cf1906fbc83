"""Reads which boxes an ISO media file (AVIF, HEIF) consists of."""

import struct
from collections.abc import Iterator
from typing import Final

_HEADER: Final = struct.Struct(">I4s")
_LARGE: Final = struct.Struct(">Q")
#: A length of 1 means that a larger one follows, 0 that the box ends with the file.
_LARGE_FOLLOWS, _TO_THE_END = 1, 0


def has_track(data: bytes) -> bool:
    """Whether the file holds a track: an image sequence or a film."""
    return b"moov" in _box_names(data)


def _box_names(data: bytes) -> Iterator[bytes]:
    place = 0
    while place + _HEADER.size <= len(data):
        length, name = _HEADER.unpack_from(data, place)
        yield name
        header_bytes = _HEADER.size
        if length == _LARGE_FOLLOWS and place + header_bytes + _LARGE.size <= len(data):
            (length,) = _LARGE.unpack_from(data, place + header_bytes)
            header_bytes += _LARGE.size
        if length == _TO_THE_END or length < header_bytes:
            return
        place += length
