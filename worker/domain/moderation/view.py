"""Views: each vector of a picture shows a part of a frame on a white or a black page."""

from dataclasses import dataclass
from typing import Any, Final

_WIDE: Final = ("left", "middle", "right")
_TALL: Final = ("top", "middle", "bottom")


@dataclass(frozen=True, slots=True)
class View:
    """What one vector shows, and how many parts its picture has."""

    #: The index among the judged frames of an animation.
    frame: int = 0
    #: Whether the page behind transparent pixels is black; otherwise it is white.
    on_black: bool = False
    #: The index among the squares along the long side, from the left or the top.
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
        """Return what identifies the view within its picture, as JSON types."""
        return {"frame": self.frame, "on_black": self.on_black, "part": self.part}

    def __str__(self) -> str:
        """Name the view for people, as the end of a sentence; empty for a picture's only view."""
        words = (
            f" in the {_ordinal(self.frame + 1)} frame looked at" if self.frame else "",
            f" in {self.place}" if self.place else "",
            " on a black page" if self.on_black else "",
        )
        return "".join(words)


#: The only view of most pictures.
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
            raise IndexError(f"view {index} of {len(self)} does not exist")
        rest, frame = divmod(index, self.frames)
        page, part = divmod(rest, self.parts)
        return View(frame, page == 1, part, self.parts, self.is_tall)

    def index(self, view: View) -> int:
        """Return the index of the view that shows what `view` shows, though pages and parts may differ.

        Opaque pictures look the same on both pages, and a picture in one part shows all parts.
        """
        page = int(view.on_black and self.pages == 2)
        part = view.part if view.parts == self.parts else 0
        return (page * self.parts + part) * self.frames + min(view.frame, self.frames - 1)


def _ordinal(number: int) -> str:
    """Return "1st", "2nd", "3rd", "4th", "11th", "21st"."""
    ending = "th" if number % 100 in {11, 12, 13} else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
