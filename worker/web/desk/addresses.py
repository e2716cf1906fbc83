"""Where an item's page is, and which comes next."""

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlencode

from worker.domain.reviewer import Reviewer
from worker.store import reviews
from worker.store.clock import database_now
from worker.store.reviews import Review
from worker.web.desk.filters import DeskFilters
from worker.web.desk.service import DeskService

HOME: Final = "/review/"
_ITEM: Final = re.compile(r"/review/items/[0-9]{1,18}(?:\?[A-Za-z0-9=&%+._-]{0,2000})?")


def address_of(review_id: int, alike: Iterable[Review], filters: DeskFilters) -> str:
    """Return the address of an item's page, with those that are shown beside it."""
    beside = ".".join(str(one.id) for one in alike)
    query = urlencode(({"with": beside} if beside else {}) | filters.chosen)
    return f"{HOME}items/{review_id}" + (f"?{query}" if query else "")


def ids_in(text: str) -> list[int]:
    """Return the numbers of the items beside the first; what is none is left out."""
    return [
        int(part) for part in text[:600].split(".") if part.isascii() and part.isdigit() and len(part) < 19
    ]


def next_address(desk: DeskService, reviewer: Reviewer, filters: DeskFilters, wanted: str = "") -> str:
    """Return where to go on: where the last page wanted to, else to what is in hand, else to a new claim."""
    with desk.database.reading() as session:
        now = database_now(session)
        held = reviews.held_by(session, reviewer.name, now)
    if held:
        wanted = wanted if _ITEM.fullmatch(wanted) else ""
        in_hand = any(
            wanted.startswith(f"{HOME}items/{one.id}?") or wanted == f"{HOME}items/{one.id}" for one in held
        )
        return wanted if in_hand else address_of(held[0].id, (), filters)
    claim = desk.work.claim(reviewer, filters.for_store(now))
    if claim is None:
        return f"{HOME}?{urlencode(filters.chosen | {'nothing': '1'})}"
    return address_of(claim.review.id, claim.alike, filters)
