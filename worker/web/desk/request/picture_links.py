"""Short-lived signed URLs of pictures, each for one review, one view and one session."""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import quote

from worker.usecases.reviews.show_picture import Page, Variant

#: A URL is valid for one to two steps. It does not change within a step, so that browsers can cache it.
STEP_SECONDS: Final = 300


@dataclass(frozen=True, slots=True)
class PictureView:
    """One view of a review's picture."""

    review_id: int
    variant: Variant
    page: Page
    frame: int

    def __str__(self) -> str:
        return f"{self.review_id}/{self.variant.value}/{self.page.value}/{self.frame}"


@dataclass(frozen=True, slots=True)
class HeatMapView:
    """The heat map of a label on a review's picture."""

    review_id: int
    label: str

    def __str__(self) -> str:
        return f"{self.review_id}/heat/{quote(self.label, safe='')}"


@dataclass(frozen=True, slots=True)
class PictureLinks:
    """Signs and verifies URLs with the key that all processes share."""

    key: bytes
    #: The path of the desk.
    root: str = "/review"

    def make(self, session_id: str, view: PictureView | HeatMapView, now: datetime) -> str:
        """Return the URL of a view for this session; `now` is the database's time."""
        until = (int(now.timestamp()) // STEP_SECONDS + 2) * STEP_SECONDS
        signature = self._sign(session_id, view, until)
        return f"{self.root}/pictures/{view}?until={until}&key={signature}"

    def seconds_left(
        self,
        session_id: str,
        view: PictureView | HeatMapView,
        until: int,
        signature: str,
        *,
        now: datetime,
    ) -> int:
        """Return how long a URL is still valid; 0 if it has expired or its signature is wrong."""
        expected = self._sign(session_id, view, until)
        if not hmac.compare_digest(signature.encode(), expected.encode()):
            return 0
        return max(0, until - int(now.timestamp()))

    def _sign(self, session_id: str, view: PictureView | HeatMapView, until: int) -> str:
        text = f"{session_id}|{view}|{until}"
        return hmac.new(self.key, text.encode(), hashlib.sha256).hexdigest()
