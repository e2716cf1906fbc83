"""`/v1/decisions`: decisions, newest first, in pages."""

import base64
import json
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from moderation_client.submission import MAX_REFERENCE_CHARACTERS, SUBMISSION_ID_PATTERN
from pydantic import AwareDatetime, Field, TypeAdapter

from worker.domain.accounts.api_key import Scope
from worker.domain.policies.policy import Action
from worker.store.decisions.decision_search import Cursor, Filters
from worker.web.api.access import Service, needs
from worker.web.api.views import DecisionPage, listed_decision_view
from worker.web.http.problems import ProblemError
from worker.web.http.responses import problems

MAX_LIMIT: Final = 200
_MAX_NAME_CHARACTERS: Final = 200
_EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(9999, 1, 1, tzinfo=UTC)

#: The fields of a cursor: only times and ids that every database can compare.
_At = Annotated[AwareDatetime, Field(ge=_EARLIEST, le=_LATEST)]
_Id = Annotated[int, Field(ge=0, lt=2**63)]
_SubmissionId = Annotated[str, Field(pattern=f"^{SUBMISSION_ID_PATTERN.pattern}$")]
_PLACE: Final[TypeAdapter[Any]] = TypeAdapter(tuple[_At, _Id] | tuple[_At, _Id, _SubmissionId])
_MAX_CURSOR_CHARACTERS: Final = 400

router = APIRouter(prefix="/v1/decisions", tags=["decisions"], dependencies=[needs(Scope.READ)])

Time = Annotated[AwareDatetime, Query(ge=_EARLIEST, le=_LATEST, examples=["2026-07-01T12:00:00Z"])]


@router.get(
    "",
    summary="List decisions, newest first",
    responses={200: {"description": "One page."}, **problems(401, 403, 422, 429, 503)},
)
def listed(  # noqa: PLR0913, PLR0917 - a query parameter each
    service: Service,
    action: Annotated[
        Action | None, Query(description="Only decisions of the policy with this action.")
    ] = None,
    label: Annotated[
        str | None,
        Query(max_length=_MAX_NAME_CHARACTERS, description="Only decisions that flagged this label."),
    ] = None,
    policy: Annotated[
        str | None, Query(max_length=_MAX_NAME_CHARACTERS, description="Only under the policy of this name.")
    ] = None,
    since: Annotated[Time | None, Query(description="Only from this time on.")] = None,
    until: Annotated[Time | None, Query(description="Only before this time.")] = None,
    reference: Annotated[
        str | None, Query(max_length=MAX_REFERENCE_CHARACTERS, description="Only with this reference.")
    ] = None,
    cursor: Annotated[
        str | None,
        Query(max_length=_MAX_CURSOR_CHARACTERS, description="`next_cursor` of the previous page."),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="How many at most.")] = 50,
) -> DecisionPage:
    """Return decisions with the action now in force, their scores and reasons.

    Decisions made while you page through the list are left out, so no decision appears twice.
    """
    filters = Filters(action, label, policy, since, until, reference)
    after = _place(cursor, filters) if cursor else None
    found = service.intake.decisions.page(filters, after=after, limit=limit)
    return DecisionPage(
        decisions=[listed_decision_view(one, found.in_force[one.submission_id]) for one in found.decisions],
        next_cursor=_cursor(found.next) if found.next else None,
    )


def _cursor(place: Cursor) -> str:
    parts = [place.at.isoformat(), place.decision_id, *([place.submission_id] if place.submission_id else [])]
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def _place(cursor: str, filters: Filters) -> Cursor:
    """Parse a cursor; a list filtered by reference has cursors of another form."""
    try:
        place = Cursor(*_PLACE.validate_json(base64.urlsafe_b64decode(f"{cursor}===")))
    except ValueError:
        place = None
    if place is None or (place.submission_id is None) != (filters.reference is None):
        raise ProblemError(
            422, "invalid cursor", hint="send `next_cursor` and the filters of the previous page"
        )
    return place
