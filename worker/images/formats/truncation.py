"""Detects truncated pictures, and loads what can be read of them."""

import re
from typing import Final

import numpy as np
from PIL import Image, ImageFile

from worker.errors import UndecodableKind, UndecodablePictureError
from worker.images.formats import boxes

#: Key in an opened picture's `info`: whether its file lacks an end marker.
NO_END: Final = "no_end"
#: Share of the picture that may be missing without being noticed.
_UNNOTICED: Final = 0.02
#: Pillow decodes these by rows and leaves missing rows 0; it decodes other formats as a whole or not at all.
_BY_ROWS: Final = frozenset({"PNG", "GIF", "BMP"})
_JPEG, _PNG, _GIF = b"\xff\xd8\xff", b"\x89PNG", b"GIF8"
_END_OF_JPEG: Final = b"\xff\xd9"
#: In compressed pixels, FF followed by 0 is not a marker. Restart markers and 1 have no segment. No "+" for
#: fill bytes: a long run of them would be searched again from each byte.
_MARKER: Final = re.compile(rb"\xff([^\x00\x01\xd0-\xd7\xff])", re.DOTALL)
_BEGIN, _END = 0xD8, 0xD9
#: A profile has at most 255. Pillow joins thousands of segments one by one, which takes seconds.
_MAX_SEGMENTS: Final = 2_000
#: The value that libjpeg gives missing blocks; browsers leave them white.
_MISSING_IN_JPEG: Final = 128


def with_end(data: bytes) -> bytes:
    """Return a JPEG with an end marker, which browsers do not need; other files unchanged.

    UndecodablePictureError if it has too many segments.
    """
    return data[: _end_of_scans(data)] + _END_OF_JPEG if lacks_end(data) else data


def lacks_end(data: bytes) -> bool:
    """Whether this is a JPEG without an end marker after its pixels."""
    return data.startswith(_JPEG) and not data.startswith(_END_OF_JPEG, _end_of_scans(data))


def _end_of_scans(data: bytes) -> int:
    """Return the offset of a JPEG's end marker; without one, of the next picture or the end of the file."""
    at, count = len(_JPEG) - 1, 0
    while marker := _MARKER.search(data, at):
        count += 1
        if count > _MAX_SEGMENTS:
            raise UndecodablePictureError(
                f"the JPEG has over {_MAX_SEGMENTS:,} segments, more than is judged",
                kind=UndecodableKind.TOO_LARGE,
            )
        code = marker[1][0]
        if code in {_BEGIN, _END}:
            return marker.end() - 2
        at = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2])
    return len(data)


def load_whole(image: Image.Image) -> None:
    """Load the current frame; UndecodablePictureError if more of it is missing than people notice."""
    try:
        image.load()
    except OSError:
        is_still = getattr(image, "n_frames", 1) == 1
        image.tile = []  # type: ignore[attr-defined] # nothing more will be decoded
        if not is_still or image.format not in _BY_ROWS or _missing_rows(image) > _UNNOTICED:
            raise
    if image.info.get(NO_END) and _missing_blocks(image) > _UNNOTICED:
        raise cut_off()


def load_in_part(image: ImageFile.ImageFile) -> None:
    """Load a frame; of a truncated or broken one keep the rows that can be read, as browsers do."""
    try:
        image.load()
    except (OSError, EOFError):
        # Pillow may have finished loading before it raised.
        if image.tile:
            image.tile = []
            image.load_end()


def cut_off() -> UndecodablePictureError:
    """Return the error for a truncated picture: half a picture is never judged as a whole."""
    return UndecodablePictureError(
        "the picture is cut off: its end is missing", kind=UndecodableKind.TRUNCATED
    )


def is_cut_off(data: bytes) -> bool:
    """Whether a file that cannot be decoded is shorter than it declares."""
    if data.startswith(_JPEG):
        return lacks_end(data)
    if data.startswith(_PNG):
        return b"IEND" not in data
    if data.startswith(_GIF):
        return not data.endswith(b";")
    if data.startswith(b"RIFF"):
        return int.from_bytes(data[4:8], "little") + 8 > len(data)
    if data.startswith(b"BM"):
        return int.from_bytes(data[2:6], "little") > len(data)
    return data[4:8] == b"ftyp" and boxes.end_early(data)


def _missing_rows(image: Image.Image) -> float:
    """Return the share of the rows that were not filled."""
    pixels = np.asarray(image).reshape(image.height, -1)
    return float(1 - pixels.any(axis=1).mean())


def _missing_blocks(image: Image.Image) -> float:
    """Return the share of a JPEG's pixels that are grey from the bottom up, as missing blocks are."""
    pixels = np.asarray(image).reshape(image.height, image.width, -1)
    # One less in inverted inks.
    is_grey = ((pixels == _MISSING_IN_JPEG) | (pixels == _MISSING_IN_JPEG - 1)).all(axis=2)
    return float(np.logical_and.accumulate(is_grey[::-1]).mean())
