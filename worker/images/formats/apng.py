"""Composes the frames of an animated PNG as browsers do; Pillow cannot leave a part of a frame undrawn."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from typing import Final

from PIL import Image, PngImagePlugin

from worker.images.colours.colour import eight_bits
from worker.images.formats.truncation import load_in_part

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_CHUNK: Final = struct.Struct(">I4s")
_CHECKSUM_BYTES: Final = 4
_SEQUENCE_BYTES: Final = 4
_CONTROL: Final = struct.Struct(">4xIIIIHHBB")
_TO_BACKGROUND, _TO_PREVIOUS = 1, 2
_SOURCE, _OVER = 0, 1
_NUMBERED: Final = frozenset({b"fcTL", b"fdAT"})
#: Chunks that apply to the pixels of every frame.
_SHARED: Final = frozenset({b"PLTE", b"tRNS"})


@dataclass(slots=True)
class _Frame:
    """A frame as stored in the file."""

    #: Width, height, left, top.
    area: tuple[int, int, int, int]
    milliseconds: float = 0.0
    disposal: int = _TO_BACKGROUND
    blending: int = _SOURCE
    pixels: list[bytes] = field(default_factory=list)


class Apng:
    """The frames of a file, not yet decoded; a default image that is not part of the animation comes first.

    The first invalid chunk ends the animation, as in Chromium.
    """

    def __init__(self, data: bytes) -> None:
        self._header, self._shared = b"", b""
        self._found: list[_Frame] = []
        #: Sequence number of control and frame chunks together.
        self._sequence = 0
        self.size = (0, 0)
        for name, content in _chunks(data):
            if not self._add(name, content):
                break
        self._frames = [frame for frame in self._found if frame.pixels]

    def __len__(self) -> int:
        return len(self._frames)

    def composed(self) -> Iterator[Image.Image]:
        """Yield each frame as displayed, RGBA, with its duration."""
        canvas = Image.new("RGBA", self.size)
        for index, frame in enumerate(self._frames):
            width, height, left, top = frame.area
            box = (left, top, left + width, top + height)
            before = canvas.copy() if frame.disposal == _TO_PREVIOUS else canvas
            drawn = self._decoded(frame, in_part=index > 0)
            if frame.blending == _SOURCE:
                canvas.paste(drawn, box)
            else:
                canvas.alpha_composite(drawn, (left, top))
            shown = canvas.copy()
            shown.info["duration"] = frame.milliseconds
            yield shown
            if frame.disposal == _TO_BACKGROUND:
                canvas.paste((0, 0, 0, 0), box)
            canvas = before

    def _add(self, name: bytes, content: bytes) -> bool:
        """Add a chunk; False if it is invalid."""
        if name == b"IHDR":
            self._header, self.size = content, struct.unpack_from(">II", content)
        elif name in _SHARED:
            self._shared += _chunk(name, content)
        elif name == b"IDAT":
            if not self._found:
                # A default image without a control chunk: nothing of it remains for later frames.
                self._found.append(_Frame((*self.size, 0, 0)))
            self._found[0].pixels.append(content)
        elif name in _NUMBERED:
            return self._add_numbered(name, content)
        return True

    def _add_numbered(self, name: bytes, content: bytes) -> bool:
        (sequence,) = struct.unpack_from(">I", content.ljust(_SEQUENCE_BYTES, b"\0"))
        is_next, self._sequence = sequence == self._sequence, self._sequence + 1
        if not is_next:
            return False
        if name == b"fcTL":
            self._found.append(_frame(content))
            if self._is_valid(self._found[-1]):
                return True
            self._found.pop()
            return False
        # The pixels of the first frame are in IDAT chunks.
        if len(self._found) < 1 + bool(self._found and self._found[0].pixels):
            return False
        self._found[-1].pixels.append(content[_SEQUENCE_BYTES:])
        return True

    def _is_valid(self, frame: _Frame) -> bool:
        width, height, left, top = frame.area
        is_within = left + width <= self.size[0] and top + height <= self.size[1]
        return (
            min(width, height) > 0
            and is_within
            and frame.disposal <= _TO_PREVIOUS
            and frame.blending <= _OVER
        )

    def _decoded(self, frame: _Frame, *, in_part: bool) -> Image.Image:
        """Return the pixels of a frame, RGBA; with `in_part`, of a broken frame what could be read."""
        header = struct.pack(">II", *frame.area[:2]) + self._header[8:]
        pixels = b"".join(_chunk(b"IDAT", part) for part in frame.pixels)
        file = _SIGNATURE + _chunk(b"IHDR", header) + self._shared + pixels + _chunk(b"IEND", b"")
        with PngImagePlugin.PngImageFile(BytesIO(file)) as image:
            if in_part:
                load_in_part(image)
            else:
                image.load()
            return (eight_bits(image) if image.mode.startswith("I;16") else image).convert("RGBA")


def _frame(control: bytes) -> _Frame:
    width, height, left, top, numerator, denominator, disposal, blending = _CONTROL.unpack_from(control)
    milliseconds = 1000 * numerator / (denominator or 100)
    return _Frame((width, height, left, top), milliseconds, disposal, blending)


def _chunk(name: bytes, content: bytes) -> bytes:
    return _CHUNK.pack(len(content), name) + content + struct.pack(">I", zlib.crc32(name + content))


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the name and content of every chunk; the last one is cut off if the file is."""
    place = len(_SIGNATURE)
    while place + _CHUNK.size <= len(data):
        length, name = _CHUNK.unpack_from(data, place)
        if name == b"IEND":
            return
        place += _CHUNK.size
        yield name, data[place : place + length]
        place += length + _CHECKSUM_BYTES
