"""`/v1/decisions`: what was decided, newest first, page by page."""

import base64
import json
from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, Field, TypeAdapter

from worker.domain.api_key import Scope
from worker.domain.policy import Action
from worker.domain.submission import MAX_REFERENCE_CHARACTERS
from worker.store import decisions, in_force
from worker.store.decisions import Filters, Place, RecordedDecision
from worker.web.access import Service, needs
from worker.web.problems import ProblemError
from worker.web.responses import problems
from worker.web.views import DecisionPage, listed_decision_view

MAX_LIMIT: Final = 200
_MAX_NAME_CHARACTERS: Final = 200
_EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(9999, 1, 1, tzinfo=UTC)

#: What a cursor holds: times and ids that every database can compare.
_PLACE: Final = TypeAdapter(
    tuple[Annotated[AwareDatetime, Field(ge=_EARLIEST, le=_LATEST)], Annotated[int, Field(ge=0, lt=2**63)]]
)

router = APIRouter(prefix="/v1/decisions", tags=["decisions"], dependencies=[needs(Scope.READ)])

Time = Annotated[AwareDatetime, Query(ge=_EARLIEST, le=_LATEST, examples=["2026-07-01T12:00:00Z"])]


@router.get(
    "",
    summary="List decisions, newest first",
    responses={200: {"description": "One page."}, **problems(401, 403, 422, 429, 503)},
)
def listed(  # noqa: PLR0913, PLR0917 - a query parameter each
    service: Service,
    action: Annotated[Action | None, Query(description="Only what the policy decided so.")] = None,
    label: Annotated[
        str | None, Query(max_length=_MAX_NAME_CHARACTERS, description="Only where this label was flagged.")
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
        str | None, Query(max_length=_MAX_NAME_CHARACTERS, description="`next_cursor` of the page before.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="How many at most.")] = 50,
) -> DecisionPage:
    """Return decisions with what is in force now, their scores and reasons.

    What is decided while you turn the pages comes on none of them: nothing is shown twice.
    """
    filters = Filters(action, label, policy, since, until, reference)
    after = _place(cursor) if cursor else None
    with service.intake.database.reading() as session:
        # One more than asked for tells whether there is a next page.
        found = decisions.page(session, filters, after=after, limit=limit + 1)
        shown = found[:limit]
        states = in_force.of_submissions(session, [decision.submission_id for decision in shown])
    return DecisionPage(
        decisions=[listed_decision_view(one, states[one.submission_id]) for one in shown],
        next_cursor=_cursor(shown[-1]) if len(found) > limit else None,
    )


def _cursor(decision: RecordedDecision) -> str:
    place = json.dumps([decision.created_at.isoformat(), decision.id])
    return base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")


def _place(cursor: str) -> Place:
    try:
        place: tuple[AwareDatetime, int] = _PLACE.validate_json(base64.urlsafe_b64decode(f"{cursor}==="))
    except ValueError:
        raise ProblemError(
            422, "the cursor is none of ours", hint="take `next_cursor` of the page before"
        ) from None
    return place
