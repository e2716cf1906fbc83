"""What is known of an uploaded picture once it was decoded, and whether it is still there to be seen."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from worker.domain.moderation.seen import Seen
from worker.domain.moderation.view import Views


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """The facts of one decoded upload.

    ``sha256`` is the hexadecimal digest of the uploaded bytes, ``format`` the container that was found in
    them (not the one that was claimed), ``width`` and ``height`` are pixels as displayed, and ``frames``
    counts the frames that were looked at: 1 for a still picture. ``parts`` counts the squares along the long
    side of each frame: 1 if it is looked at as a whole, or at its centre.
    """

    sha256: str
    format: str
    width: int
    height: int
    frames: int
    parts: int = 1
    #: Share of the picture that its parts cover.
    area_share: float = 1.0
    #: Share of an animation's display time that the frames looked at stand for; 1 for a still picture.
    time_share: float = 1.0

    def coverage(self) -> dict[str, Any]:
        """Return how much of the picture was looked at, as JSON types."""
        return {"parts": self.parts, "area_share": self.area_share, "time_share": self.time_share}

    @property
    def seen(self) -> Seen:
        """How much of it was looked at."""
        return Seen(self.time_share, self.area_share)

    def views(self, count: int) -> Views:
        """Return what each of its `count` vectors stands for; ValueError if that is no number of theirs."""
        pages, rest = divmod(count, self.frames * self.parts)
        if rest or pages not in {1, 2}:
            raise ValueError(f"{self.frames} frames of {self.parts} parts, but {count} vectors")
        return Views(self.frames, self.parts, pages, self.height > self.width)


class PictureState(StrEnum):
    """What a picture's source has now, compared with the bytes that were judged."""

    SAME = "same"
    CHANGED = "changed"
    #: The source cannot be read.
    UNAVAILABLE = "unavailable"
    #: It can be read, but no bytes are on record to compare with: it could not be read when it was judged.
    NOT_JUDGED = "not_judged"
