"""Limits on the cost of one picture, checked before anything is read or decoded."""

from dataclasses import dataclass
from typing import Final

from worker.errors import UndecodableKind, UndecodablePictureError

#: All frames of an animation are decoded: together they may cost this many times the largest still picture.
_ANIMATION_WORK: Final = 20


@dataclass(frozen=True, slots=True)
class Limits:
    """A picture beyond any of these is refused."""

    #: Size of the encoded file.
    max_bytes: int
    #: Width times height. A 20 KiB PNG can hold 169 million pixels and take 800 MiB. The judged frames
    #: of an animation share this number.
    max_pixels: int
    #: Longer of width and height.
    max_side: int
    #: Judged frames of an animation; a longer one is sampled.
    max_frames: int

    @property
    def max_animation_pixels(self) -> int:
        """Pixels of all frames of an animation together, judged or not."""
        return _ANIMATION_WORK * self.max_pixels

    def check_bytes(self, size: int) -> None:
        """Raise UndecodablePictureError if an encoded picture of `size` bytes is too large."""
        if size > self.max_bytes:
            raise _too_large(f"the picture has {size:,} bytes; at most {self.max_bytes:,} are judged")

    def check_size(self, size: tuple[int, int]) -> None:
        """Raise UndecodablePictureError if a picture of this width and height is too large."""
        width, height = size
        what = f"the picture is {width:,} x {height:,} pixels; at most"
        if max(size) > self.max_side:
            raise _too_large(f"{what} {self.max_side:,} a side are judged")
        if width * height > self.max_pixels:
            raise _too_large(f"{what} {self.max_pixels:,} in all are judged")


def _too_large(message: str) -> UndecodablePictureError:
    return UndecodablePictureError(message, kind=UndecodableKind.TOO_LARGE)
