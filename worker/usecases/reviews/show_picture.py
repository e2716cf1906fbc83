"""Shows a reviewer the picture that was judged: read again, compared, decoded by a child, encoded anew."""

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from worker.domain.moderation.picture import PictureState
from worker.domain.moderation.view import View
from worker.errors import ModerationError
from worker.images import display
from worker.images.processes.pool import DecoderPool
from worker.usecases.moderation.judged_pictures import FoundPicture, ReadJudgedPicture, source_of

#: Encoded pictures that are kept for a moment: veiled and clear, and one frame after the other.
_KEPT: Final = 48


class Variant(StrEnum):
    """How much of a picture is shown."""

    VEILED = "veiled"
    CLEAR = "clear"


class Page(StrEnum):
    """What a picture lies on, and shows through what is transparent."""

    WHITE = "white"
    BLACK = "black"


@dataclass(frozen=True, slots=True)
class PictureRequest:
    """What to show of which submission."""

    submission_id: str
    variant: Variant
    page: Page = Page.WHITE
    #: Of an animation, counted among the frames that are looked at, from 0.
    frame: int = 0
    #: The decision that a person is asked about; None for the newest.
    decision_id: int | None = None


@dataclass(frozen=True, slots=True)
class ShownPicture:
    """A picture for people's eyes."""

    data: bytes = field(repr=False)
    #: SAME, or NOT_JUDGED if no bytes are on record to compare with.
    state: PictureState


#: One way to show certain bytes: their SHA-256, the variant, the page and the frame.
_Way = tuple[str, Variant, Page, int]


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

    def __call__(self, request: PictureRequest) -> ShownPicture:
        """Return it encoded.

        PictureChangedError if its source has other bytes than those that were judged, otherwise the
        ModerationError of whatever prevents it, in words for the reviewer.
        """
        judged = self.read.recorded(request.submission_id, request.decision_id).sha256
        known = self._recent.find(_way(judged, request)) if judged else None
        if known is not None:
            return ShownPicture(known, PictureState.SAME)
        found = self.read(request.submission_id, request.decision_id)
        return ShownPicture(self._drawn(request, found), found.state)

    def obstacle(self, submission_id: str) -> str | None:
        """Say why a picture cannot be shown, as far as that is known without trying; None if it may."""
        try:
            source_of(self.read.recorded(submission_id))
        except ModerationError as error:
            return error.message
        return None

    def _drawn(self, request: PictureRequest, found: FoundPicture) -> bytes:
        prepared = self.decoder.decode(found.data, display.DISPLAYED)
        draw = display.clear if request.variant is Variant.CLEAR else display.veiled
        shown = draw(prepared.showing(View(request.frame, request.page is Page.BLACK)))
        self._recent.keep(_way(found.sha256, request), shown)
        return shown


def _way(sha256: str, request: PictureRequest) -> _Way:
    return sha256, request.variant, request.page, request.frame
