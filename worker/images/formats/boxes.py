"""Parses the boxes of AVIF and HEIC files (ISO/IEC 14496-12 and 23008-12)."""

import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final

from worker.images.colours.profiles import cicp_profile

#: Path of boxes to the sample entries of the first track, from which sequences are shown.
_TO_SAMPLES: Final = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
#: Header bytes of these boxes, before their child boxes.
_HEADS: Final = {b"meta": 4, b"stsd": 8}
_VISUAL_SAMPLE_ENTRY_BYTES: Final = 78


def declared_profile(data: bytes, *, is_sequence: bool) -> bytes | None:
    """Return the profile for the colour code points that a file declares; None if missing or invalid."""
    with suppress(struct.error, LookupError):
        properties = _of_track(data) if is_sequence else _of_primary_item(data)
        for name, content in properties:
            if name == b"colr" and content[:4] == b"nclx":
                return cicp_profile(*struct.unpack_from(">HH", content, 4))
    return None


def has_track(data: bytes) -> bool:
    """Whether the file holds a track: an image sequence or a film."""
    with suppress(struct.error):
        return any(name == b"moov" for name, _, _ in _spans(data))
    return False


def end_early(data: bytes) -> bool:
    """Whether a box is longer than the file, or the one with the pixels is missing."""
    try:
        ends = {name: end for name, _, end in _spans(data)}
    except struct.error:
        return True
    return max(ends.values(), default=0) > len(data) or b"mdat" not in ends


def _of_track(data: bytes) -> Sequence[tuple[bytes, bytes]]:
    content = data
    for name in _TO_SAMPLES:
        content = _only(content)[name]
    (entry,) = list(_boxes(content))[:1]
    return list(_boxes(entry[1][_VISUAL_SAMPLE_ENTRY_BYTES:]))


def _of_primary_item(data: bytes) -> Sequence[tuple[bytes, bytes]]:
    """Return the properties of the primary item (the displayed picture), in file order."""
    meta = _only(_only(data)[b"meta"])
    version, item = meta[b"pitm"][0], meta[b"pitm"][4:]
    primary = int.from_bytes(item[: 4 if version else 2])
    properties = _only(meta[b"iprp"])
    known = list(_boxes(properties[b"ipco"]))
    indices = _associated(properties[b"ipma"], primary)
    return [known[index - 1] for index in indices if 0 < index <= len(known)]


def _associated(ipma: bytes, wanted: int) -> list[int]:
    """Return the 1-based indices of an item's properties."""
    version, is_wide = ipma[0], ipma[3] & 1
    (entries,) = struct.unpack_from(">I", ipma, 4)
    at = 8
    for _ in range(entries):
        item, count = struct.unpack_from(">IB" if version else ">HB", ipma, at)
        at += 5 if version else 3
        if item == wanted:
            return [number & (0x7FFF if is_wide else 0x7F) for number in _numbers(ipma, at, count, is_wide)]
        at += count * (1 + is_wide)
    return []


def _numbers(ipma: bytes, at: int, count: int, is_wide: int) -> tuple[int, ...]:
    return struct.unpack_from(f">{count}{'H' if is_wide else 'B'}", ipma, at)


def _only(data: bytes) -> Mapping[bytes, bytes]:
    """Return the boxes by name; the first of several with the same name, as in decoders."""
    return dict(reversed(list(_boxes(data))))


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield each box's name and content; containers without their version and flags."""
    for name, start, end in _spans(data):
        yield name, data[start + _HEADS.get(name, 0) : end]


def _spans(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield each box's name, and the start and declared end of its content."""
    at = 0
    while at + 8 <= len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        start = at + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, start)
            start += 8
        end = at + size if size else len(data)
        if end < start:
            return
        yield name, start, end
        at = end
