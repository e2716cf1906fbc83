"""Counts the frames that stand in an animated PNG, whatever its header says."""

import struct
from collections.abc import Iterator
from typing import Final

_SIGNATURE_BYTES: Final = 8
_CHUNK: Final = struct.Struct(">I4s")
_CHECKSUM_BYTES: Final = 4


def count_png_frames(data: bytes) -> int:
    """Return how many frames have at least the beginning of their pixels; the default image is one."""
    frames, begun = 0, True
    for name in _chunk_names(data):
        if name == b"fcTL":
            begun = True
        elif name in {b"IDAT", b"fdAT"} and begun:
            frames, begun = frames + 1, False
    return frames


def _chunk_names(data: bytes) -> Iterator[bytes]:
    """Yield the name of every chunk up to the last one."""
    place = _SIGNATURE_BYTES
    while place + _CHUNK.size <= len(data):
        length, name = _CHUNK.unpack_from(data, place)
        if name == b"IEND":
            return
        yield name
        place += _CHUNK.size + length + _CHECKSUM_BYTES
