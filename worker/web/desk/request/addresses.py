"""URLs of item pages, and the choice of the next one."""

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlencode

from worker.domain.accounts.reviewer import Reviewer
from worker.store.reviews.reviews import Review
from worker.web.desk.request.filters import DeskFilters
from worker.web.desk.request.service import DeskService

_ITEM: Final = re.compile(r"/items/[0-9]{1,18}(?:\?[A-Za-z0-9=&%+._-]{0,2000})?")


def address_of(desk: DeskService, review_id: int, alike: Iterable[Review], filters: DeskFilters) -> str:
    """Return the URL of an item's page, with the similar items shown on it."""
    beside = ".".join(str(one.id) for one in alike)
    query = urlencode(({"with": beside} if beside else {}) | filters.chosen)
    return f"{desk.root}/items/{review_id}" + (f"?{query}" if query else "")


def ids_in(text: str) -> list[int]:
    """Parse the ids of the similar items; invalid ones are dropped."""
    return [
        int(part) for part in text[:600].split(".") if part.isascii() and part.isdigit() and len(part) < 19
    ]


def next_address(desk: DeskService, reviewer: Reviewer, filters: DeskFilters, wanted: str = "") -> str:
    """Return the wanted item's URL if it is claimed, else that of a claimed item, else of a new claim."""
    held = desk.work.claims.of(reviewer.name)
    if held.reviews:
        items = f"{desk.root}/items/"
        is_item = wanted.startswith(items) and _ITEM.fullmatch(wanted.removeprefix(desk.root))
        is_held = is_item and wanted.removeprefix(items).partition("?")[0] in map(str, held.by_id)
        return wanted if is_held else address_of(desk, held.reviews[0].id, (), filters)
    claim = desk.work.claim(reviewer, filters.for_store(held.now))
    if claim is None:
        return f"{desk.root}/?{urlencode(filters.chosen | {'nothing': '1'})}"
    return address_of(desk, claim.review.id, claim.alike, filters)
