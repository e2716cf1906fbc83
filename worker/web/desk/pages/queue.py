"""The first page: the open items, filtered, and the button that claims the next one."""

from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from worker.store.reviews import review_search
from worker.web.desk.rendering.pages import page
from worker.web.desk.request.access import Desk, Post, ReviewNumber, SignedIn
from worker.web.desk.request.addresses import address_of, next_address
from worker.web.desk.request.filters import AGES, KINDS, DeskFilters

router = APIRouter()

_LISTED: Final = 50


@router.get("/")
def show(request: Request, desk: Desk, visitor: SignedIn) -> Response:
    """Show the queue."""
    filters = DeskFilters.of(request.query_params)
    queue = desk.work.browse.queue(filters.for_store, limit=_LISTED, seen_by=visitor.reviewer.name)
    return page(
        request,
        "queue.html",
        here="queue",
        visitor=visitor,
        undo=desk.parts.last_verdict(visitor.reviewer.name),
        filters=filters,
        kinds=KINDS,
        ages=AGES,
        listed=[review.blinded for review in queue.found.reviews],
        more=queue.found.next is not None,
        searched=review_search.WINDOW,
        waiting=queue.waiting,
        held=queue.held,
        now=queue.now,
        nothing="nothing" in request.query_params,
    )


@router.post("/next")
def take_next(desk: Desk, posted: Post) -> Response:
    """Open a claimed item, else claim the next one."""
    return RedirectResponse(
        next_address(desk, posted.visitor.reviewer, DeskFilters.of_form(posted.form)), 303
    )


@router.post("/items/{review_id}/claim")
def take_this(review_id: ReviewNumber, desk: Desk, posted: Post) -> Response:
    """Claim an item by its id."""
    claim = desk.work.claim(posted.visitor.reviewer, review_id=review_id)
    filters = DeskFilters.of_form(posted.form)
    return RedirectResponse(
        address_of(desk, claim.review.id, claim.alike, filters) if claim else f"{desk.root}/", 303
    )
