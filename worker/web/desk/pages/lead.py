"""The lead's page: statistics of the queue and of the verdicts."""

from datetime import timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from worker.web.desk.rendering import plots
from worker.web.desk.rendering.pages import page
from worker.web.desk.request.access import Desk, Lead

router = APIRouter()

_DAYS: Final = (7, 14, 30, 90)


@router.get("/lead")
def show(request: Request, desk: Desk, visitor: Lead, days: Annotated[int, Query()] = 14) -> Response:
    """Show the statistics of the last days."""
    days = days if days in _DAYS else 14
    span = timedelta(days=days)
    found = desk.work.statistics.of_last(span)
    now = found.since + span
    return page(
        request,
        "lead.html",
        here="lead",
        visitor=visitor,
        days=days,
        choices=_DAYS,
        found=found,
        throughput=plots.throughput(found.throughput, now, days),
        people=plots.people(found.throughput),
        mix=plots.mix(found.throughput),
        now=now,
        plots=plots,
    )
