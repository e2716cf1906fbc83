"""Shows a reviewer the picture of a review: fetched, decoded in a child process, and encoded anew."""

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from worker.client.messages import recorded_source
from worker.domain.submission import Source
from worker.errors import ModerationError, SourceMissingError
from worker.images import display
from worker.images.decoder_pool import DecoderPool
from worker.images.reader import ImageReader
from worker.store import review_sources
from worker.store.database import Database

#: Pictures of ours that are kept for a moment: veiled and clear, and one frame after the other.
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


class _Recent:
    """The pictures that were shown last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pictures: OrderedDict[View, bytes] = OrderedDict()

    def find(self, view: View) -> bytes | None:
        with self._lock:
            return self._pictures.get(view)

    def keep(self, view: View, picture: bytes) -> None:
        with self._lock:
            self._pictures[view] = picture
            while len(self._pictures) > _KEPT:
                self._pictures.popitem(last=False)


@dataclass(frozen=True, slots=True)
class ShowPicture:
    """Make pictures for people's eyes."""

    database: Database
    reader: ImageReader
    decoder: DecoderPool
    _recent: _Recent = field(default_factory=_Recent)

    def __call__(self, view: View) -> bytes:
        """Return it encoded; the ModerationError of whatever prevents it, in words for the reviewer."""
        if known := self._recent.find(view):
            return known
        source = self._source(view.submission_id)
        prepared = self.decoder.decode(self.reader.read(source), display.DISPLAYED)
        # What is opaque looks the same on every page.
        frame = view.frame if view.frame < len(prepared.pixels) else view.frame % prepared.facts.frames
        draw = display.clear if view.variant is Variant.CLEAR else display.veiled
        shown = draw(prepared.pixels[frame])
        self._recent.keep(view, shown)
        return shown

    def obstacle(self, submission_id: str) -> str | None:
        """Say why a picture cannot be shown, as far as that is known without trying; None where it may."""
        try:
            self._source(submission_id)
        except ModerationError as error:
            return error.message
        return None

    def _source(self, submission_id: str) -> Source:
        with self.database.reading() as session:
            whole, recorded = review_sources.find(session, submission_id)
        source = recorded_source(whole) or recorded_source(recorded)
        if source is not None:
            return source
        if recorded is None:
            raise SourceMissingError("the picture came inside its message, and is not kept any more")
        raise SourceMissingError("the picture's address was signed, and the signature is not kept any more")
