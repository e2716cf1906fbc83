"""`/v1/appeals`: the platform appeals a decision; a person who did not answer before answers."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response

from worker.domain.accounts.api_key import Scope
from worker.web.api.access import Service, needs
from worker.web.api.request_schemas import body
from worker.web.api.reviews import review_bodies as bodies
from worker.web.api.reviews.review_views import AppealView, appeal_view
from worker.web.http.problems import ProblemError
from worker.web.http.responses import problems

router = APIRouter(prefix="/v1/appeals", tags=["appeals"], dependencies=[needs(Scope.APPEALS)])


@router.post(
    "",
    summary="Appeal a decision",
    status_code=201,
    responses={
        200: {"model": AppealView, "description": "It was appealed before, with this statement."},
        201: {"description": "Another person will answer it."},
        **problems(
            *(400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 503),
            on_404="There is no such decision.",
            on_409="It was appealed in other words, a newer decision replaced it, or its review is open.",
        ),
    },
    openapi_extra=body(json="AppealBody"),
)
def open_appeal(
    response: Response,
    service: Service,
    wanted: Annotated[bodies.AppealBody, Depends(bodies.parsing(bodies.AppealBody))],
) -> AppealView:
    """Open an appeal against the action in force for a submission; the answer is sent as an event.

    A decision can be appealed once. The same statement sent again is the same appeal.
    """
    appeal, is_new = service.intake.desk.appeals.open(wanted.decision, wanted.statement)
    response.status_code = 201 if is_new else 200
    (state,) = service.intake.find.in_force([appeal.submission_id]).values()
    return appeal_view(appeal, state)


@router.get(
    "/{appeal_id}",
    summary="Get an appeal",
    responses={
        200: {"description": "The appeal, and its answer."},
        **problems(401, 403, 404, 422, 429, 503, on_404="There is no such appeal."),
    },
)
def show(
    appeal_id: Annotated[int, Path(ge=1, lt=2**63)],
    service: Service,
) -> AppealView:
    """Return an appeal with its answer, but not who answered."""
    found = service.intake.desk.appeals.find(appeal_id)
    if found is None:
        raise ProblemError(404, f"there is no appeal {appeal_id}")
    return appeal_view(*found)
