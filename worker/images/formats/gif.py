"""Composes the frames of a GIF as browsers do; Pillow follows other rules of disposal."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from typing import Final

from PIL import GifImagePlugin, Image

from worker.errors import UndecodableKind, UndecodablePictureError
from worker.images.formats.truncation import load_in_part
from worker.images.limits import Limits

_SCREEN: Final = struct.Struct("<6sHHBxx")
_RECTANGLE: Final = struct.Struct("<HHHHB")
_HAS_COLOURS, _INTERLACED, _COLOURS_MASK = 0x80, 0x40, 0x07
_PALETTE: Final = _HAS_COLOURS | _COLOURS_MASK
_CONTROL: Final = 0xF9
_CONTROL_BYTES: Final = 4
_TO_BACKGROUND: Final = 2
#: Application extensions with the number of plays begin like this.
_LOOPS: Final = (b"\xff\x0bNETSCAPE2.0", b"\xff\x0bANIMEXTS1.0")
#: Encoders write blocks of 255 bytes. Millions of empty ones take half a minute to read.
_MAX_BLOCKS: Final = 1_000_000
#: Some encoders write a 4 for what the specification numbers 3; Chromium takes both.
_TO_PREVIOUS: Final = frozenset({3, 4})


def as_browsers_read(gif: bytes) -> bytes:
    """Return a GIF without comments and other extensions that do not affect frames; other files unchanged.

    UndecodablePictureError if it has too many blocks.
    """
    is_gif = gif.startswith((b"GIF87a", b"GIF89a")) and len(gif) >= _SCREEN.size
    return b"".join(_BlockReader(gif).needed()) if is_gif else gif


@dataclass(frozen=True, slots=True)
class _Control:
    """A graphic control block, which applies to the next frame."""

    disposal: int = 0
    milliseconds: int = 0
    #: The raw block, which names the transparent colour.
    block: bytes = b""


@dataclass(frozen=True, slots=True)
class GifFrame:
    """A frame that is not yet decoded, and how it is drawn."""

    #: Left, top, right, bottom on the canvas.
    box: tuple[int, int, int, int]
    control: _Control
    #: A file of only this frame; cut off if the original is.
    file: bytes

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        left, top, right, bottom = self.box
        return right - left, bottom - top


@dataclass(frozen=True, slots=True)
class Gif:
    """The canvas and the frames of a file, not yet decoded."""

    size: tuple[int, int]
    frames: tuple[GifFrame, ...]

    @classmethod
    def read(cls, data: bytes, most: int) -> "Gif":
        """Find the first `most` frames of which at least some pixels are there."""
        _, width, height, _ = _SCREEN.unpack_from(data)
        frames = tuple(islice(_BlockReader(data).frames(), most))
        if frames:
            # Only the first frame enlarges the picture.
            width, height = max(width, frames[0].box[2]), max(height, frames[0].box[3])
        return cls((width, height), frames)

    def composed(self, limits: Limits) -> Iterator[Image.Image]:
        """Yield each frame as displayed, RGBA, with its duration.

        The readable part of a broken frame is drawn, as in browsers; a broken first frame raises.
        """
        canvas = Image.new("RGBA", self.size)
        for index, frame in enumerate(self.frames):
            limits.check_size(frame.size)
            before = canvas.copy() if frame.control.disposal in _TO_PREVIOUS else canvas
            drawn = _decoded(frame, in_part=index > 0)
            canvas.paste(drawn, frame.box[:2], drawn)
            shown = canvas.copy()
            shown.info["duration"] = frame.control.milliseconds
            yield shown
            if frame.control.disposal == _TO_BACKGROUND:
                canvas.paste((0, 0, 0, 0), frame.box)
            canvas = before


def _decoded(frame: GifFrame, *, in_part: bool) -> Image.Image:
    """Return the pixels of a frame, RGBA; with `in_part`, of a broken frame what could be read."""
    with GifImagePlugin.GifImageFile(BytesIO(frame.file)) as image:
        if in_part:
            load_in_part(image)
        else:
            image.load()
        return image.convert("RGBA")


class _BlockReader:
    """Reads the blocks of a file in order, until its end or until it is cut off."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        _, _, _, self._flags = _SCREEN.unpack_from(data)
        self._place = _SCREEN.size
        self._blocks = 0
        self._colours = self._take_colours(self._flags)

    def frames(self) -> Iterator[GifFrame]:
        control = _Control()
        while (kind := self._take(1)) in {b"!", b","}:
            if kind == b"!":
                control = self._read_extension() or control
            elif (frame := self._read_frame(control)) is None:
                return
            else:
                yield frame
                control = _Control()

    def needed(self) -> Iterator[bytes]:
        """Yield the file without the extensions that browsers skip."""
        yield self._data[: self._place]
        start = self._place
        while (kind := self._take(1)) in {b"!", b","}:
            if kind == b",":
                if self._read_frame(_Control()) is None:
                    break
            elif self._read_extension() is None and not self._data.startswith(_LOOPS, start + 1):
                start = self._place
                continue
            yield self._data[start : self._place]
            start = self._place
        yield self._data[start:]

    def _read_extension(self) -> _Control | None:
        name, start = self._take(1), self._place
        self._skip_blocks()
        block = self._data[start : self._place]
        if name != bytes([_CONTROL]) or len(block) <= _CONTROL_BYTES:
            return None
        flags, hundredths = block[1], int.from_bytes(block[2:4], "little")
        return _Control(flags >> 2 & 7, 10 * hundredths, b"!" + name + block[: _CONTROL_BYTES + 1] + b"\0")

    def _read_frame(self, control: _Control) -> GifFrame | None:
        rectangle = self._take(_RECTANGLE.size)
        if len(rectangle) < _RECTANGLE.size:
            return None
        left, top, width, height, flags = _RECTANGLE.unpack(rectangle)
        colours = self._take_colours(flags) if flags & _HAS_COLOURS else self._colours
        start = self._place
        self._take(1)
        self._skip_blocks()
        pixels = self._data[start : self._place]
        if not pixels or not width or not height:
            return None
        palette = _PALETTE & (flags if flags & _HAS_COLOURS else self._flags)
        head = _SCREEN.pack(b"GIF89a", width, height, palette) + colours
        descriptor = b"," + _RECTANGLE.pack(0, 0, width, height, flags & _INTERLACED)
        box = (left, top, left + width, top + height)
        return GifFrame(box, control, head + control.block + descriptor + pixels)

    def _take(self, count: int) -> bytes:
        taken = self._data[self._place : self._place + count]
        self._place += len(taken)
        return taken

    def _take_colours(self, flags: int) -> bytes:
        return self._take(3 * 2 ** ((flags & _COLOURS_MASK) + 1)) if flags & _HAS_COLOURS else b""

    def _skip_blocks(self) -> None:
        """Move past a chain of data sub-blocks."""
        data, place, size = self._data, self._place, len(self._data)
        while place < size:
            self._blocks += 1
            if self._blocks > _MAX_BLOCKS:
                raise UndecodablePictureError(
                    f"the GIF has over {_MAX_BLOCKS:,} blocks, more than is judged",
                    kind=UndecodableKind.TOO_LARGE,
                )
            length = data[place]
            place = min(place + 1 + length, size)
            if not length:
                break
        self._place = place
