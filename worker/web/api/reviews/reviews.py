"""`/v1/reviews`: the review queue, for platforms with their own desk; the key acts for its reviewers."""

import base64
import json
from datetime import timedelta
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field, TypeAdapter

from worker.domain.accounts.api_key import Scope
from worker.domain.reviews.review import ReviewKind
from worker.store.reviews.review_search import Place, ReviewFilters
from worker.web.api.access import Service, needs
from worker.web.api.request_schemas import body
from worker.web.api.reviews import review_bodies as bodies
from worker.web.api.reviews.review_views import (
    ClaimedView,
    RenewedView,
    ReversedView,
    ReviewPage,
    SettledItem,
    SettledView,
    StatisticsView,
    reversed_view,
    review_view,
    statistics_view,
)
from worker.web.http.problems import ProblemError
from worker.web.http.responses import problems

MAX_LIMIT: Final = 200
_MAX_NAME_CHARACTERS: Final = 200
_PLACE: Final = TypeAdapter(
    tuple[Annotated[float, Field(allow_inf_nan=False)], Annotated[int, Field(ge=0, lt=2**63)]]
)
_CONFLICT: Final = (
    "Another person was first, the claim is no longer held, or the picture changed and only a lead can allow"
    " it; the detail says which."
)
_NOT_ALLOWED: Final = "The API key does not have the scope, or this person may not answer the review."
_UNKNOWN: Final = "There is no such review or verdict."

router = APIRouter(prefix="/v1/reviews", tags=["reviews"], dependencies=[needs(Scope.REVIEWS)])

#: The kinds that reviewers may see.
Kind = Literal["decision", "audit", "quarantine", "appeal", "disagreement"]
Name = Annotated[str | None, Query(max_length=_MAX_NAME_CHARACTERS)]


def _answers(*more: int) -> dict[int | str, dict[str, Any]]:
    statuses = (400, 401, 403, 408, 413, 415, 422, 429, 503, *more)
    return problems(*sorted(statuses), on_403=_NOT_ALLOWED, on_404=_UNKNOWN, on_409=_CONFLICT)


@router.get(
    "",
    summary="List open reviews, in the order of the queue",
    responses={200: {"description": "One page."}, **problems(401, 403, 422, 429, 503)},
)
def listed(  # noqa: PLR0913, PLR0917 - a query parameter each
    service: Service,
    queue: Annotated[Name, Query(description="Only in this queue.")] = None,
    label: Annotated[Name, Query(description="Only decisions that flagged this label.")] = None,
    policy: Annotated[Name, Query(description="Only under the policy of this name.")] = None,
    kind: Annotated[
        Kind | None, Query(description="Only of this kind; blind second reviews count as first ones.")
    ] = None,
    severity: Annotated[int | None, Query(ge=1, le=5, description="Only this grave or graver.")] = None,
    cursor: Annotated[Name, Query(description="`next_cursor` of the previous page.")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="How many at most.")] = 50,
) -> ReviewPage:
    """Return open reviews with their decisions, including claimed ones."""
    filters = ReviewFilters(queue, label, policy, ReviewKind(kind) if kind else None, severity)
    after = _place(cursor) if cursor else None
    found = service.intake.desk.browse.page(filters, after=after, limit=limit)
    return ReviewPage(
        reviews=[review_view(review, found.in_force[review.id]) for review in found.reviews],
        next_cursor=_cursor(found.next) if found.next else None,
    )


@router.get(
    "/statistics",
    summary="Get statistics of the queue and the verdicts",
    responses={200: {"description": "Counts."}, **problems(401, 403, 422, 429, 503)},
)
def statistics(
    service: Service,
    days: Annotated[int, Query(ge=1, le=366, description="How far back to look.")] = 7,
) -> StatisticsView:
    """Return what is open now, and what was answered in the last days."""
    return statistics_view(service.intake.desk.statistics.of_last(timedelta(days=days)))


@router.post(
    "/claim",
    summary="Claim the next review",
    responses={200: {"description": "The claimed reviews."}, **_answers(404, 409)},
    openapi_extra=body(json="Claim"),
)
def claim(
    service: Service,
    wanted: Annotated[bodies.Claim, Depends(bodies.parsing(bodies.Claim))],
) -> ClaimedView:
    """Claim the next review for a person, and those of pictures that look nearly the same.

    The claim is exclusive and expires unless it is renewed. Some reviews are golden items, whose answer is
    known; nothing marks them.
    """
    filters = ReviewFilters(wanted.queue, wanted.label, wanted.policy, None, wanted.severity)
    desk = service.intake.desk
    found = desk.claim(wanted.reviewer.reviewer(), filters, review_id=wanted.review, grouped=wanted.grouped)
    claimed = [found.review, *found.alike] if found else []
    states = desk.browse.in_force(claimed)
    return ClaimedView(reviews=[review_view(one, states[one.id]) for one in claimed])


@router.post(
    "/renew",
    summary="Renew claims",
    responses={200: {"description": "They are renewed."}, **_answers(404, 409)},
    openapi_extra=body(json="Renewal"),
)
def renew(
    service: Service,
    wanted: Annotated[bodies.Renewal, Depends(bodies.parsing(bodies.Renewal))],
) -> RenewedView:
    """Renew the lease of these claims, all or none."""
    until = service.intake.desk.claims.renew(wanted.reviewer.reviewer(), wanted.tokens())
    return RenewedView(claimed_until=until)


@router.post(
    "/release",
    summary="Release claims",
    status_code=204,
    response_class=Response,
    responses={204: {"description": "They are released."}, **_answers(404)},
    openapi_extra=body(json="Release"),
)
def release(
    service: Service,
    wanted: Annotated[bodies.Release, Depends(bodies.parsing(bodies.Release))],
) -> None:
    """Release these claims; those no longer held are ignored."""
    service.intake.desk.claims.release(wanted.reviewer.reviewer(), wanted.tokens())


@router.post(
    "/skip",
    summary="Skip reviews",
    status_code=204,
    response_class=Response,
    responses={204: {"description": "They come last for this person."}, **_answers(404, 409)},
    openapi_extra=body(json="Skip"),
)
def skip(
    service: Service,
    wanted: Annotated[bodies.Skip, Depends(bodies.parsing(bodies.Skip))],
) -> None:
    """Release these reviews with a reason; for this person they come after all others."""
    service.intake.desk.claims.skip(wanted.reviewer.reviewer(), wanted.tokens(), wanted.reason)


@router.post(
    "/escalate",
    summary="Escalate reviews to a lead",
    status_code=204,
    response_class=Response,
    responses={204: {"description": "Only leads can claim them."}, **_answers(404, 409)},
    openapi_extra=body(json="Escalation"),
)
def escalate(
    service: Service,
    wanted: Annotated[bodies.Escalation, Depends(bodies.parsing(bodies.Escalation))],
) -> None:
    """Release these reviews with a reason; only leads can claim them."""
    service.intake.desk.claims.escalate(wanted.reviewer.reviewer(), wanted.tokens(), wanted.reason)


@router.post(
    "/verdict",
    summary="Answer claimed reviews",
    responses={200: {"description": "They are answered."}, **_answers(404, 409)},
    openapi_extra=body(json="VerdictBody"),
)
def verdict(
    service: Service,
    wanted: Annotated[bodies.VerdictBody, Depends(bodies.parsing(bodies.VerdictBody))],
) -> SettledView:
    """Record one answer to all of these reviews, all or none; a repeated request gets the same response."""
    settled = service.intake.desk.settle(
        wanted.reviewer.reviewer(), wanted.tokens(), wanted.answer(), wanted.shown, wanted.digests()
    )
    return SettledView(
        verdicts=[
            SettledItem(
                review=one.review_id,
                verdict=one.verdict_id,
                submission=one.submission_id,
                picture_seen=one.picture_seen,
            )
            for one in settled
        ]
    )


@router.post(
    "/reverse",
    summary="Reverse a verdict",
    responses={200: {"description": "It is reversed."}, **_answers(404, 409)},
    openapi_extra=body(json="ReversalBody"),
)
def reverse(
    service: Service,
    wanted: Annotated[bodies.ReversalBody, Depends(bodies.parsing(bodies.ReversalBody))],
) -> ReversedView:
    """Reverse a verdict and everything it caused: a person's own verdict, or anybody's for a lead."""
    desk = service.intake.desk
    undone = desk.reverse(
        wanted.reviewer.reviewer(), wanted.verdict, whole_group=wanted.whole_group, reason=wanted.reason
    )
    return reversed_view(undone, desk.browse.in_force(undone.reopened))


def _cursor(place: Place) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def _place(cursor: str) -> Place:
    try:
        place: Place = _PLACE.validate_json(base64.urlsafe_b64decode(f"{cursor}==="))
    except ValueError:
        raise ProblemError(422, "invalid cursor", hint="send `next_cursor` of the previous page") from None
    return place
