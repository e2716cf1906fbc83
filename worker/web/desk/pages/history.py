"""The history of one submission, as a timeline."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from worker.web.desk.rendering.pages import page
from worker.web.desk.request.access import Desk, SignedIn
from worker.web.http.problems import ProblemError

router = APIRouter()


@router.get("/submissions/{submission_id}")
def show(request: Request, submission_id: str, desk: Desk, visitor: SignedIn) -> Response:
    """Show what happened to a submission."""
    entry = desk.work.submissions.entry(submission_id)
    if entry is None:
        raise ProblemError(404, f"there is no submission {submission_id[:80]}")
    masked = desk.work.history.masked_until(submission_id, visitor.reviewer)
    return page(
        request,
        "history.html",
        here="history",
        visitor=visitor,
        entry=entry,
        submitted_at=max(entry.created_at, masked) if masked else entry.created_at,
        happenings=desk.work.history(submission_id, visitor.reviewer),
    )
