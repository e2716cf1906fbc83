"""Serves pictures to the session that their URL was signed for, while that person holds the item's claim."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from worker.domain.moderation.picture import PictureState
from worker.errors import ModerationError, PictureChangedError
from worker.images.display import MEDIA_TYPE
from worker.usecases.reviews.show_picture import Page, PictureRequest, Variant
from worker.web.desk.request.access import Desk, ReviewNumber, SignedIn
from worker.web.desk.request.picture_links import PictureView
from worker.web.http.problems import ProblemError

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
    held = await run_in_threadpool(desk.work.claims.of, visitor.reviewer.name)
    view = PictureView(review_id, variant, page, frame)
    seconds = desk.links.seconds_left(visitor.session_id, view, until, key, now=held.now)
    if not seconds:
        raise ProblemError(403, "this picture's address has expired: load the page again")
    review = held.by_id.get(review_id)
    if review is None:
        raise ProblemError(403, "you have not claimed this item")
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
    # Cached by the browser only, until the URL expires.
    return Response(
        shown.data, media_type=MEDIA_TYPE, headers={"Cache-Control": f"private, max-age={seconds}"}
    )
