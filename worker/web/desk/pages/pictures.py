"""Serves pictures and heat maps to the session that their URL was signed for.

That person has to hold the item's claim.
"""

import logging
from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from worker.domain.moderation.picture import PictureState
from worker.errors import ModerationError, PictureChangedError
from worker.images import heat_overlay
from worker.images.display import MEDIA_TYPE
from worker.store.reviews.reviews import Review
from worker.usecases.reviews.draw_heat_map import HeatMapRequest
from worker.usecases.reviews.show_picture import Page, PictureRequest, Variant
from worker.web.desk.request.access import Desk, ReviewNumber, SignedIn, Visitor
from worker.web.desk.request.picture_links import HeatMapView, PictureView
from worker.web.desk.request.service import DeskService
from worker.web.http.problems import ProblemError

log = logging.getLogger(__name__)

router = APIRouter()

_Frame = Annotated[int, Path(ge=0, lt=2**16)]
_Time = Annotated[int, Query(ge=0, lt=2**63)]


@router.get("/pictures/{review_id}/{variant}/{page}/{frame}")
async def picture(  # noqa: PLR0913, PLR0917 - the signed fields and the signature
    review_id: ReviewNumber,
    variant: Variant,
    page: Page,
    frame: _Frame,
    until: _Time,
    key: str,
    desk: Desk,
    visitor: SignedIn,
) -> Response:
    """Return a picture, re-encoded."""
    view = PictureView(review_id, variant, page, frame)
    review, seconds = await run_in_threadpool(_held, desk, visitor, view, until, key)
    decision = review.decision
    try:
        shown = await desk.pictures.show(
            PictureRequest(decision.submission_id, variant, page, frame, decision.id)
        )
    except PictureChangedError:
        raise
    except ModerationError as error:
        # The person has to decide without the picture, and should know why.
        raise ProblemError(410, error.message) from None
    if shown.state is PictureState.SAME:
        desk.work.check_pictures.note_shown(review.token)
    if variant is Variant.CLEAR:
        await run_in_threadpool(desk.parts.show_picture.note_clear, visitor.reviewer.name, review, frame)
    return Response(shown.data, media_type=MEDIA_TYPE, headers=_cached(seconds))


@router.get("/pictures/{review_id}/heat/{label}")
async def heat_map(  # noqa: PLR0913, PLR0917 - the signed fields and the signature
    review_id: ReviewNumber, label: str, until: _Time, key: str, desk: Desk, visitor: SignedIn
) -> Response:
    """Return the heat map of a label as a transparent picture, to be shown over the picture."""
    view = HeatMapView(review_id, label)
    review, seconds = await run_in_threadpool(_held, desk, visitor, view, until, key)
    draw = desk.parts.draw_heat_map
    if desk.heat_maps is None or draw is None:
        raise ProblemError(404, "heat maps are turned off here")
    try:
        drawn = await desk.heat_maps.show(HeatMapRequest(review.decision.id, label))
    except PictureChangedError:
        raise
    except ModerationError as error:
        # The person should know why, also if it is the service's fault.
        log.warning("no heat map of %s for review %d: %s", label, review_id, error.message)
        raise ProblemError(410, error.message) from None
    await run_in_threadpool(draw.note_shown, visitor.reviewer.name, review, label)
    headers = _cached(seconds) | {"X-Heat-Map-Method": drawn.method.value}
    return Response(drawn.data, media_type=heat_overlay.MEDIA_TYPE, headers=headers)


def _held(
    desk: DeskService, visitor: Visitor, view: PictureView | HeatMapView, until: int, key: str
) -> tuple[Review, int]:
    """Return the review that the visitor has claimed, and how long the URL is valid; ProblemError if not."""
    held = desk.work.claims.of(visitor.reviewer.name)
    seconds = desk.links.seconds_left(visitor.session_id, view, until, key, now=held.now)
    if not seconds:
        raise ProblemError(403, "this picture's address has expired: load the page again")
    review = held.by_id.get(view.review_id)
    if review is None:
        raise ProblemError(403, "you have not claimed this item")
    return review, seconds


def _cached(seconds: int) -> dict[str, str]:
    """Return the headers for a picture that the browser alone may cache, until its URL expires."""
    return {"Cache-Control": f"private, max-age={seconds}"}
