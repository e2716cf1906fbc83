"""Short-lived addresses of pictures: signed, for one review, one way to show it, and one session."""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from worker.usecases.reviews.show_picture import Page, Variant

#: An address lives for one to two of these; it is the same within one, so that the browser keeps the picture.
STEP_SECONDS: Final = 300


@dataclass(frozen=True, slots=True)
class PictureWay:
    """One way to show the picture of a review."""

    review_id: int
    variant: Variant
    page: Page
    frame: int

    def __str__(self) -> str:
        return f"{self.review_id}/{self.variant.value}/{self.page.value}/{self.frame}"


@dataclass(frozen=True, slots=True)
class PictureLinks:
    """Makes and checks addresses with the key that all processes share."""

    key: bytes
    #: The path of the desk.
    root: str = "/review"

    def make(self, session_id: str, way: PictureWay, now: datetime) -> str:
        """Return the address of a picture for this session; `now` is the database's time."""
        until = (int(now.timestamp()) // STEP_SECONDS + 2) * STEP_SECONDS
        signature = self._sign(session_id, way, until)
        return f"{self.root}/pictures/{way}?until={until}&key={signature}"

    def seconds_left(
        self, session_id: str, way: PictureWay, until: int, signature: str, *, now: datetime
    ) -> int:
        """Return how long an address is still valid; 0 if it has expired or its signature is wrong."""
        right = self._sign(session_id, way, until)
        if not hmac.compare_digest(signature.encode(), right.encode()):
            return 0
        return max(0, until - int(now.timestamp()))

    def _sign(self, session_id: str, way: PictureWay, until: int) -> str:
        text = f"{session_id}|{way}|{until}"
        return hmac.new(self.key, text.encode(), hashlib.sha256).hexdigest()
