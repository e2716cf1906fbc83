"""Shows a reviewer the picture that was judged: read again, compared, decoded by a child, encoded anew."""

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from worker.domain.picture import PictureState
from worker.errors import ModerationError
from worker.images import display
from worker.images.decoding.pool import DecoderPool
from worker.usecases.judged_pictures import FoundPicture, ReadJudgedPicture, source_of

#: Encoded pictures that are kept for a moment: veiled and clear, and one frame after the other.
_KEPT: Final = 48


class Variant(StrEnum):
    """How much of a picture is shown."""

    VEILED = "veiled"
    CLEAR = "clear"


@dataclass(frozen=True, slots=True)
class View:
    """What to show of which submission."""

    submission_id: str
    variant: Variant
    #: Of an animation; beyond the last, the same frames as seen on a black page.
    frame: int = 0
    #: The decision that a person is asked about; None for the newest.
    decision_id: int | None = None


@dataclass(frozen=True, slots=True)
class ShownPicture:
    """A picture for people's eyes."""

    data: bytes = field(repr=False)
    #: SAME, or NOT_JUDGED if no bytes are on record to compare with.
    state: PictureState


#: One way to show certain bytes: their SHA-256, the variant and the frame.
_Way = tuple[str, Variant, int]


class _Recent:
    """The pictures that were shown last, by their bytes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pictures: OrderedDict[_Way, bytes] = OrderedDict()

    def find(self, way: _Way) -> bytes | None:
        with self._lock:
            return self._pictures.get(way)

    def keep(self, way: _Way, picture: bytes) -> None:
        with self._lock:
            self._pictures[way] = picture
            while len(self._pictures) > _KEPT:
                self._pictures.popitem(last=False)


@dataclass(frozen=True, slots=True)
class ShowPicture:
    """Make pictures for people's eyes."""

    read: ReadJudgedPicture
    decoder: DecoderPool
    _recent: _Recent = field(default_factory=_Recent)

    def __call__(self, view: View) -> ShownPicture:
        """Return it encoded.

        PictureChangedError if its source has other bytes than those that were judged, otherwise the
        ModerationError of whatever prevents it, in words for the reviewer.
        """
        judged = self.read.recorded(view.submission_id, view.decision_id).sha256
        known = self._recent.find((judged, view.variant, view.frame)) if judged else None
        if known is not None:
            return ShownPicture(known, PictureState.SAME)
        found = self.read(view.submission_id, view.decision_id)
        return ShownPicture(self._drawn(view, found), found.state)

    def obstacle(self, submission_id: str) -> str | None:
        """Say why a picture cannot be shown, as far as that is known without trying; None if it may."""
        try:
            source_of(self.read.recorded(submission_id))
        except ModerationError as error:
            return error.message
        return None

    def _drawn(self, view: View, found: FoundPicture) -> bytes:
        prepared = self.decoder.decode(found.data, display.DISPLAYED)
        # What is opaque looks the same on every page.
        frame = view.frame if view.frame < len(prepared.pixels) else view.frame % prepared.facts.frames
        draw = display.clear if view.variant is Variant.CLEAR else display.veiled
        shown = draw(prepared.pixels[frame])
        self._recent.keep((found.sha256, view.variant, view.frame), shown)
        return shown
