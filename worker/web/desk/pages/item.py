"""The page of one item: its picture, why it was flagged, and the form for the verdict."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from worker.domain.moderation.view import View
from worker.domain.policies.policy import Action
from worker.domain.reviews.verdict import labels_needing_reason
from worker.errors import ModerationError, ReviewConflictError, ReviewNotAllowedError
from worker.store.reviews.reviews import Review
from worker.usecases.reviews.held_claims import HeldReviews
from worker.usecases.reviews.look_at_review import Dossier
from worker.usecases.reviews.show_picture import Page, Variant
from worker.web.desk.rendering import bars
from worker.web.desk.rendering.caption import pieces
from worker.web.desk.rendering.outline import outline
from worker.web.desk.rendering.pages import page
from worker.web.desk.request.access import Desk, Post, ReviewNumber, SignedIn, Visitor
from worker.web.desk.request.addresses import address_of, ids_in
from worker.web.desk.request.filters import DeskFilters
from worker.web.desk.request.forms import Form
from worker.web.desk.request.picture_links import HeatMapView, PictureView
from worker.web.desk.request.service import DeskService

router = APIRouter()

#: Frames of an animation that get a button.
_MAX_FRAMES: Final = 64
#: As many labels as the page shows open.
_MAPS_IF_NONE_IS_FLAGGED: Final = 2
_CHANGED: Final = "it changed after it was judged"


@dataclass(frozen=True, slots=True)
class PictureUrls:
    """The URLs of a picture's views."""

    review: Review
    #: By background, the white one first, and by frame.
    veiled: Sequence[Sequence[str]]
    clear: Sequence[Sequence[str]]
    #: The view that is shown first.
    first: View
    frames: int
    #: Why there is no picture, if that is known already.
    obstacle: str | None
    #: Whether the source now has other bytes than those that were judged.
    changed: bool

    @property
    def first_veiled(self) -> str:
        """The URL of the first view, veiled."""
        return self.veiled[self.first.on_black][self.first.frame]

    @property
    def first_clear(self) -> str:
        """The URL of the first view, clear."""
        return self.clear[self.first.on_black][self.first.frame]


@router.get("/items/{review_id}")
def show(request: Request, review_id: ReviewNumber, desk: Desk, visitor: SignedIn) -> Response:
    """Show an item to the person who holds its claim."""
    return item_page(request, desk, visitor, review_id, dict(request.query_params))


@dataclass(frozen=True, slots=True)
class RefusedVerdict:
    """A verdict that was refused, and why."""

    form: Form
    error: ModerationError

    @property
    def problem(self) -> str:
        """Return what is wrong and what to do, in one sentence."""
        return f"{self.error.message}: {self.error.hint}" if self.error.hint else self.error.message


def item_page(  # noqa: PLR0913, PLR0917 - what the page shows, and to whom
    request: Request,
    desk: DeskService,
    visitor: Visitor,
    review_id: int,
    query: dict[str, str],
    sent: RefusedVerdict | None = None,
) -> Response:
    """Render the page; `sent` is the verdict that was refused, if one was."""
    filters = DeskFilters.of(query)
    held = desk.work.claims.of(visitor.reviewer.name)
    main, now = held.by_id.get(review_id), held.now
    if main is None:
        return _not_claimed_page(request, desk, visitor, review_id, filters)
    alike = _beside(held, main, ids_in(query.get("with", "")))
    first, *others = desk.parts.look([main, *alike])
    return page(
        request,
        "item.html",
        status=sent.error.http_status if sent else 200,
        here="item",
        visitor=visitor,
        undo=desk.parts.last_verdict(visitor.reviewer.name),
        filters=filters,
        query=query,
        dossier=first,
        picture=_picture_urls(desk, visitor, first, now),
        others=[(other, _picture_urls(desk, visitor, other, now)) for other in others],
        caption=pieces(main.decision.text, first.policy),
        bars=[bars.bar(one) for one in first.evidence],
        clear=visitor.account.shows_clear or query.get("shown") == "clear",
        asked=_asked_view(query, first),
        heat_maps=_heat_maps(desk, visitor, first, now),
        outline=outline(first.first_view, first.size, main.decision.area_share),
        sent=sent.form if sent else None,
        problem=sent.problem if sent else "",
        can_allow=visitor.reviewer.is_lead or not _lifts_a_flag_unseen(main),
        address=address_of(desk, main.id, alike, filters),
        needs_reason=_needing_reason(first),
        now=now,
    )


@router.post("/ahead")
def claim_ahead(desk: Desk, visitor: SignedIn, posted: Post) -> Response:
    """Claim the next item ahead of time, so that the browser can prefetch its picture."""
    filters = DeskFilters.of_form(posted.form)
    here = set(ids_in(posted.form.get("here")))
    held = desk.work.claims.of(visitor.reviewer.name)
    waiting = [one for one in held.reviews if one.id not in here]
    alike: Sequence[Review] = ()
    if waiting:
        main = waiting[0]
    else:
        try:
            # Skip the prefetch if the reviewer has moved on.
            claim = desk.work.claim(visitor.reviewer, filters.for_store(held.now), while_holding=here)
        except (ReviewConflictError, ReviewNotAllowedError):
            claim = None
        if claim is None:
            return JSONResponse({})
        main, alike = claim.review, claim.alike
    dossiers = desk.parts.look([main, *alike])
    pictures = [_picture_urls(desk, visitor, one, held.now) for one in dossiers]
    is_clear = visitor.account.shows_clear
    return JSONResponse(
        {
            "href": address_of(desk, main.id, alike, filters),
            "tokens": [f"{one.id}.{one.fence}" for one in (main, *alike)],
            "pictures": [
                one.first_clear if is_clear else one.first_veiled for one in pictures if not one.obstacle
            ],
        }
    )


def _beside(held: HeldReviews, main: Review, ids: Sequence[int]) -> list[Review]:
    """Return the other held reviews among these."""
    by_id = held.by_id
    return [by_id[one] for one in dict.fromkeys(ids) if one in by_id and one != main.id]


def _not_claimed_page(
    request: Request, desk: DeskService, visitor: Visitor, review_id: int, filters: DeskFilters
) -> Response:
    found = desk.work.browse.known_to(visitor.reviewer, review_id)
    return page(
        request,
        "elsewhere.html",
        status=409 if found else 404,
        here="item",
        visitor=visitor,
        undo=desk.parts.last_verdict(visitor.reviewer.name),
        review=found and found.review,
        free=found is not None and found.is_free,
        filters=filters,
    )


def _picture_urls(desk: DeskService, visitor: Visitor, dossier: Dossier, now: datetime) -> PictureUrls:
    review = dossier.review
    changed = review.picture_changed_at is not None
    frames = _frames(dossier)
    first = dossier.first_view

    def links(variant: Variant) -> list[list[str]]:
        views = [[PictureView(review.id, variant, page, frame) for frame in range(frames)] for page in Page]
        return [[desk.links.make(visitor.session_id, view, now) for view in of_page] for of_page in views]

    return PictureUrls(
        review,
        links(Variant.VEILED),
        links(Variant.CLEAR),
        replace(first, frame=min(first.frame, frames - 1)),
        frames,
        _CHANGED if changed else desk.parts.show_picture.obstacle(review.decision.submission_id),
        changed,
    )


def _heat_maps(desk: DeskService, visitor: Visitor, dossier: Dossier, now: datetime) -> list[dict[str, Any]]:
    """Return the heat maps that the script can show, in their order; none if the picture was not judged."""
    if desk.heat_maps is None or not dossier.is_judged:
        return []
    flagged = [one.score for one in dossier.evidence if one.flagged]
    unflagged = [one.score for one in dossier.evidence][:_MAPS_IF_NONE_IS_FLAGGED]
    last = _frames(dossier) - 1
    return [
        {
            "label": score.label,
            "why": f"“{score.prompt}” against “{score.background}”{score.view}",
            "url": desk.links.make(visitor.session_id, HeatMapView(dossier.review.id, score.label), now),
            "frame": min(score.view.frame, last),
            "page": int(score.view.on_black),
        }
        for score in flagged or unflagged
    ]


def _lifts_a_flag_unseen(review: Review) -> bool:
    """Whether an allow would lift the flag from a picture that cannot be shown any more."""
    return review.picture_changed_at is not None and review.decision.action is not Action.ALLOW


def _frames(dossier: Dossier) -> int:
    return min(max(1, dossier.frames), _MAX_FRAMES)


def _asked_view(query: dict[str, str], dossier: Dossier) -> View | None:
    """Return the view that the query asks for; links use it if there is no script."""
    asked = query.get("frame", "")
    is_number = asked.isascii() and asked.isdigit() and len(asked) < 5
    if not is_number or int(asked) >= _frames(dossier):
        return None
    return View(int(asked), query.get("page") == Page.BLACK.value)


def _needing_reason(dossier: Dossier) -> dict[str, Any]:
    """Return when the policy requires a reason, for the form."""
    policy = dossier.policy
    if policy is None:
        return {"always": False, "labels": []}
    labels = labels_needing_reason(policy)
    always = bool(policy.reviewing.needs_reason) or not set(labels).isdisjoint(
        dossier.review.decision.flagged
    )
    return {"always": always, "labels": labels}
