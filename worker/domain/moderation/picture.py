"""The facts of a decoded picture, and whether its source still has the same bytes."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from worker.domain.moderation.seen import Seen
from worker.domain.moderation.view import Views


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """The facts of one decoded upload.

    ``sha256`` is the hexadecimal digest of the uploaded bytes, ``format`` the container detected in them
    (not the claimed one), ``width`` and ``height`` are pixels as displayed, and ``frames`` is the number of
    frames judged: 1 for a still picture. ``parts`` is the number of squares along the long side of each
    frame: 1 if the frame is judged as a whole, or at its centre.
    """

    sha256: str
    format: str
    width: int
    height: int
    frames: int
    parts: int = 1
    #: Share of the picture's area that its parts cover.
    area_share: float = 1.0
    #: Share of an animation's display time that the judged frames represent; 1 for a still picture.
    time_share: float = 1.0

    def coverage(self) -> dict[str, Any]:
        """Return how much of the picture was judged, as JSON types."""
        return {"parts": self.parts, "area_share": self.area_share, "time_share": self.time_share}

    @property
    def seen(self) -> Seen:
        """How much of the picture was judged."""
        return Seen(self.time_share, self.area_share)

    def views(self, count: int) -> Views:
        """Return what each of its `count` vectors shows; ValueError if `count` does not fit the picture."""
        pages, rest = divmod(count, self.frames * self.parts)
        if rest or pages not in {1, 2}:
            raise ValueError(f"{self.frames} frames of {self.parts} parts, but {count} vectors")
        return Views(self.frames, self.parts, pages, self.height > self.width)


class PictureState(StrEnum):
    """The bytes at a picture's source now, compared with the judged ones."""

    SAME = "same"
    CHANGED = "changed"
    #: The source cannot be read.
    UNAVAILABLE = "unavailable"
    #: It can be read now, but not when it was to be judged: there is no digest to compare with.
    NOT_JUDGED = "not_judged"
