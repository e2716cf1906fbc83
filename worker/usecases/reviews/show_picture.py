"""Renders a judged picture for a reviewer: read and compare its bytes, decode in a child, encode."""

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
from worker.store.engine.database import Database
from worker.store.reviews import audit_log
from worker.store.reviews.reviews import Review
from worker.usecases.moderation.judged_pictures import FoundPicture, ReadJudgedPicture, source_of

#: How many encoded pictures are cached: veiled and clear, and several frames.
_KEPT: Final = 48


class Variant(StrEnum):
    """How much of a picture is shown."""

    VEILED = "veiled"
    CLEAR = "clear"


class Page(StrEnum):
    """The background behind a picture, visible through transparent parts."""

    WHITE = "white"
    BLACK = "black"


@dataclass(frozen=True, slots=True)
class PictureRequest:
    """Which picture to show, and how."""

    submission_id: str
    variant: Variant
    page: Page = Page.WHITE
    #: The frame of an animation, counted from 0 among the judged frames.
    frame: int = 0
    #: The decision under review; None for the newest.
    decision_id: int | None = None


@dataclass(frozen=True, slots=True)
class ShownPicture:
    """A rendered picture."""

    data: bytes = field(repr=False)
    #: SAME, or NOT_JUDGED if no digest is recorded to compare with.
    state: PictureState


#: Cache key of a rendered picture: SHA-256 of the bytes, variant, page and frame.
_RenderKey = tuple[str, Variant, Page, int]


class _Recent:
    """Cache of the pictures that were rendered last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pictures: OrderedDict[_RenderKey, bytes] = OrderedDict()

    def find(self, key: _RenderKey) -> bytes | None:
        with self._lock:
            return self._pictures.get(key)

    def keep(self, key: _RenderKey, picture: bytes) -> None:
        with self._lock:
            self._pictures[key] = picture
            while len(self._pictures) > _KEPT:
                self._pictures.popitem(last=False)


@dataclass(frozen=True, slots=True)
class ShowPicture:
    """Render pictures for reviewers."""

    database: Database
    read: ReadJudgedPicture
    decoder: DecoderPool
    _recent: _Recent = field(default_factory=_Recent)

    def __call__(self, request: PictureRequest) -> ShownPicture:
        """Return the picture, encoded.

        PictureChangedError if its source has other bytes than those that were judged; another
        ModerationError, worded for the reviewer, if it cannot be shown.
        """
        judged = self.read.recorded(request.submission_id, request.decision_id).sha256
        known = self._recent.find(_render_key(judged, request)) if judged else None
        if known is not None:
            return ShownPicture(known, PictureState.SAME)
        found = self.read(request.submission_id, request.decision_id)
        return ShownPicture(self._render(request, found), found.state)

    def obstacle(self, submission_id: str) -> str | None:
        """Return why a picture cannot be shown, if that is known without reading it; None otherwise."""
        try:
            source_of(self.read.recorded(submission_id))
        except ModerationError as error:
            return error.message
        return None

    def note_clear(self, reviewer: str, review: Review, frame: int) -> None:
        """Record that a person saw a frame without its veil."""
        with self.database.transaction() as session:
            audit_log.note(
                session,
                reviewer,
                audit_log.PICTURE_SHOWN,
                review_id=review.id,
                submission_id=review.decision.submission_id,
                frame=frame,
            )

    def _render(self, request: PictureRequest, found: FoundPicture) -> bytes:
        prepared = self.decoder.decode(found.data, display.DISPLAYED)
        draw = display.clear if request.variant is Variant.CLEAR else display.veiled
        shown = draw(prepared.showing(View(request.frame, request.page is Page.BLACK)))
        self._recent.keep(_render_key(found.sha256, request), shown)
        return shown


def _render_key(sha256: str, request: PictureRequest) -> _RenderKey:
    return sha256, request.variant, request.page, request.frame
