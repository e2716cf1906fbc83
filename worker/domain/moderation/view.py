"""Views: what each vector of a picture stands for, a part of a frame on a white or a black page."""

from dataclasses import dataclass
from typing import Any, Final

_WIDE: Final = ("left", "middle", "right")
_TALL: Final = ("top", "middle", "bottom")


@dataclass(frozen=True, slots=True)
class View:
    """What one vector stands for, and how many parts its picture has."""

    #: Of an animation, counted among the frames that were looked at, from 0.
    frame: int = 0
    #: Whether transparency lets a black page through; else a white one.
    on_black: bool = False
    #: Of the squares along the long side, from the left or the top, from 0.
    part: int = 0
    parts: int = 1
    #: Whether the long side is the height.
    is_tall: bool = False

    @property
    def place(self) -> str:
        """Name the part for people: "the left part", "the 2nd of 4 parts from the top"; empty for one."""
        ends = _TALL if self.is_tall else _WIDE
        if self.parts == 1:
            return ""
        if self.parts > len(ends):
            return f"the {_ordinal(self.part + 1)} of {self.parts} parts from the {ends[0]}"
        names = ends if self.parts == len(ends) else (ends[0], ends[-1])
        return f"the {names[self.part]} part"

    def as_json(self) -> dict[str, Any]:
        """Return what identifies it among the picture's views, as JSON types."""
        return {"frame": self.frame, "on_black": self.on_black, "part": self.part}

    def __str__(self) -> str:
        """Say it for people, as the end of a sentence; empty for the only view of a picture."""
        said = (
            f" in the {_ordinal(self.frame + 1)} frame looked at" if self.frame else "",
            f" in {self.place}" if self.place else "",
            " on a black page" if self.on_black else "",
        )
        return "".join(said)


#: Of most pictures the only view.
FIRST: Final = View()


@dataclass(frozen=True, slots=True)
class Views:
    """The views of one picture, in the order of its vectors: by page, then by part, then by frame."""

    frames: int = 1
    parts: int = 1
    #: 1, the white one, or 2: the white one, then the black one.
    pages: int = 1
    is_tall: bool = False

    def __len__(self) -> int:
        return self.pages * self.parts * self.frames

    def __getitem__(self, index: int) -> View:
        if not 0 <= index < len(self):
            raise IndexError(f"there are {len(self)} views, and none with the number {index}")
        rest, frame = divmod(index, self.frames)
        page, part = divmod(rest, self.parts)
        return View(frame, page == 1, part, self.parts, self.is_tall)

    def index(self, view: View) -> int:
        """Return which of these shows what `view` does, though the picture may be prepared in another way.

        What is opaque looks the same on both pages, and a picture in one part shows all parts.
        """
        page = int(view.on_black and self.pages == 2)
        part = view.part if view.parts == self.parts else 0
        return (page * self.parts + part) * self.frames + min(view.frame, self.frames - 1)


def _ordinal(number: int) -> str:
    """Return "1st", "2nd", "3rd", "4th", "11th", "21st"."""
    ending = "th" if number % 100 in {11, 12, 13} else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
