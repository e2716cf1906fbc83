"""`/v1/submissions`: submit pictures, one or many, and get their status."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Path, Request, Response
from fastapi.concurrency import contextmanager_in_threadpool
from moderation_client.messages import from_message
from moderation_client.submission import (
    SUBMISSION_ID_PATTERN,
    LocalFile,
    Submission,
    new_submission_id,
)
from moderation_client.traceparent import traceparent_of
from starlette.concurrency import run_in_threadpool

from worker.domain.accounts.api_key import ApiKey, Scope
from worker.domain.moderation.in_force import InForce
from worker.errors import DatabaseUnavailableError, InvalidSubmissionError, PermanentError
from worker.images.sources.uploads import IncomingPicture
from worker.usecases.submissions.accept_submissions import Acceptance
from worker.usecases.submissions.find_submission import KnownSubmission
from worker.web.api.access import Service, needs, take_tokens
from worker.web.api.request_schemas import JSON_FORM_FIELDS, MAX_BATCH, body
from worker.web.api.service import WebService
from worker.web.api.upload import read_form
from worker.web.api.views import BatchAnswer, BatchItem, SubmissionView, submission_view
from worker.web.api.waiting import preferred_wait_seconds
from worker.web.http.bodies import (
    JSON,
    MAX_BATCH_BYTES,
    MAX_JSON_BYTES,
    MULTIPART,
    media_type,
    read_json,
    unsupported,
)
from worker.web.http.problems import Problem, ProblemError, problem_of
from worker.web.http.responses import problems, with_headers

#: `Retry-After` of a submission that is not decided yet.
RETRY_AFTER_SECONDS: Final = 1

router = APIRouter(prefix="/v1/submissions", tags=["submissions"])

Traceparent = Annotated[
    str | None,
    Header(
        description="The trace that log lines and events of the submission belong to (W3C Trace Context)."
    ),
]
SubmissionId = Annotated[str, Path(pattern=f"^{SUBMISSION_ID_PATTERN.pattern}$", examples=["upload-7"])]


@router.post(
    "",
    summary="Submit a picture",
    status_code=202,
    responses={
        200: {
            "model": SubmissionView,
            "description": "It was decided within the time of `Prefer: wait`, or it was submitted before.",
            **with_headers("Preference-Applied"),
        },
        202: {
            "description": "It is accepted and will be decided.",
            **with_headers("Location", "Retry-After", "Preference-Applied"),
        },
        **problems(400, 401, 403, 408, 409, 413, 415, 422, 429, 503),
    },
    openapi_extra=body(json="Submission", form="Upload"),
    dependencies=[needs(Scope.SUBMIT)],
)
async def submit(
    request: Request,
    response: Response,
    service: Service,
    prefer: Annotated[  # noqa: ARG001 - for OpenAPI; all of several headers are read below
        str | None,
        Header(description="`wait=10` waits up to 10 seconds for the decision before answering."),
    ] = None,
    traceparent: Traceparent = None,
) -> SubmissionView:
    """Submit one picture: as JSON that says where it is, or as a form with the picture itself.

    The same id with the same source, sha256, text and policy is the same submission, however often it is
    sent; with others it is a conflict. If one is repeated, the first callback counts. `again` has a decided
    submission judged once more.
    """
    accepted = await _accept_one(request, service, traceparent_of(traceparent))
    seconds = preferred_wait_seconds(request.headers.getlist("Prefer"))
    if seconds is not None and await service.waiting_room.wait(request, accepted.id, seconds):
        response.headers["Preference-Applied"] = f"wait={seconds}"
    known = await run_in_threadpool(_known, service, accepted.id)
    is_pending = (accepted.is_new or seconds is not None) and await run_in_threadpool(
        service.intake.find.is_open, accepted.id
    )
    response.status_code = 202 if is_pending else 200
    if is_pending:
        response.headers["Location"] = f"{request.scope['root_path']}{router.prefix}/{accepted.id}"
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return submission_view(known)


@router.post(
    "/batch",
    summary="Submit up to 256 pictures",
    responses={
        200: {"description": "The result of each, in the order given."},
        **problems(400, 401, 403, 408, 413, 415, 422, 429, 503),
    },
    openapi_extra=body(json="Batch"),
)
async def submit_batch(
    request: Request,
    service: Service,
    key: Annotated[ApiKey, needs(Scope.SUBMIT)],
    traceparent: Traceparent = None,
) -> BatchAnswer:
    """Submit many pictures independently: a refused one does not affect the others."""
    found = await read_json(request, MAX_BATCH_BYTES)
    entries = found.get("submissions")
    if found.keys() != {"submissions"} or not isinstance(entries, list) or not 0 < len(entries) <= MAX_BATCH:
        raise ProblemError(
            422, f"the body is not an object with 1 to {MAX_BATCH} submissions", hint='{"submissions": [...]}'
        )
    await run_in_threadpool(take_tokens, service, key, len(entries) - 1)
    trace = traceparent_of(traceparent)
    return BatchAnswer(items=await run_in_threadpool(_accept_many, service, entries, trace))


@router.get(
    "/{submission_id}",
    summary="Get a submission",
    responses={
        200: {"description": "The submission, with its decisions."},
        **problems(401, 403, 404, 422, 429, 503),
    },
    dependencies=[needs(Scope.READ)],
)
def show(submission_id: SubmissionId, service: Service) -> SubmissionView:
    """Return a submission's state and its decisions, with all scores."""
    return submission_view(_known(service, submission_id))


def _known(service: WebService, submission_id: str) -> KnownSubmission:
    known = service.intake.find(submission_id)
    if known is None:
        raise ProblemError(404, f"there is no submission {submission_id!r}")
    return known


async def _accept_one(request: Request, service: WebService, trace: str | None) -> Acceptance:
    kind = media_type(request)
    if kind == MULTIPART:
        return await _accept_upload(request, service, trace)
    if kind != JSON:
        raise unsupported(JSON, MULTIPART)
    message = await read_json(request, MAX_JSON_BYTES)
    return await run_in_threadpool(_accept, service, replace(_submission(message), traceparent=trace))


async def _accept_upload(request: Request, service: WebService, trace: str | None) -> Acceptance:
    # Opening and closing the file block on the disk.
    async with contextmanager_in_threadpool(service.intake.uploads.receiving()) as picture:
        form = await read_form(request, picture, service.settings.max_picture_bytes)
        return await run_in_threadpool(_keep_and_accept, service, picture, form, trace)


def _keep_and_accept(
    service: WebService, picture: IncomingPicture, form: Mapping[str, str], trace: str | None
) -> Acceptance:
    """Store the picture before the submission is published; delete it if the submission is not accepted."""
    submission = _uploaded(picture, form)
    uploads = service.intake.uploads
    kept = uploads.keep(picture, submission.id)
    placed = replace(submission, source=LocalFile(kept.path), sha256=picture.sha256, traceparent=trace)
    try:
        (outcome,) = service.intake.accept([placed])
    except DatabaseUnavailableError as error:
        # The submission may be in the ledger: the sweep checks, and deletes the picture if it is not.
        if not error.may_be_written:
            uploads.discard(kept)
        raise
    # A repeated submission already has its picture.
    if isinstance(outcome, Acceptance) and outcome.is_new:
        uploads.confirm(kept)
    else:
        uploads.discard(kept)
    return _accepted(outcome)


def _uploaded(picture: IncomingPicture, form: Mapping[str, str]) -> Submission:
    """Return the form's submission; its source is a placeholder."""
    message: dict[str, Any] = {name: value for name, value in form.items() if value}
    for name in JSON_FORM_FIELDS:
        if name in message:
            try:
                message[name] = json.loads(message[name])
            except (ValueError, RecursionError):
                raise InvalidSubmissionError(f"the field {name!r} is not JSON", field=name) from None
    submission = _submission({**message, "source": {"kind": "file", "path": "picture"}})
    if submission.sha256 not in {None, picture.sha256}:
        raise InvalidSubmissionError(
            f"the picture has the SHA-256 {picture.sha256}, not the one promised", field="sha256"
        )
    return submission


def _submission(message: Mapping[str, Any]) -> Submission:
    return from_message({"id": new_submission_id(), **message})


def _accept(service: WebService, submission: Submission) -> Acceptance:
    (outcome,) = service.intake.accept([submission])
    return _accepted(outcome)


def _accepted(outcome: Acceptance | PermanentError) -> Acceptance:
    if isinstance(outcome, PermanentError):
        raise outcome
    return outcome


def _accept_many(service: WebService, entries: Sequence[Any], trace: str | None) -> list[BatchItem]:
    read = [_read(entry, trace) for entry in entries]
    valid = [one for one in read if isinstance(one, Submission)]
    outcomes = iter(service.intake.accept(valid))
    states = service.intake.find.in_force([one.id for one in valid])
    return [
        _item(one.id, next(outcomes), states.get(one.id))
        if isinstance(one, Submission)
        else _item(None, one, None)
        for one in read
    ]


def _read(entry: Any, trace: str | None) -> Submission | InvalidSubmissionError:
    if not isinstance(entry, dict):
        return InvalidSubmissionError("a submission is a JSON object")
    try:
        return replace(_submission(entry), traceparent=trace)
    except InvalidSubmissionError as error:
        return error


def _item(
    submission_id: str | None, outcome: Acceptance | PermanentError, state: InForce | None
) -> BatchItem:
    if isinstance(outcome, Acceptance):
        in_force_fields = state.as_json() if state else {}
        return BatchItem(id=submission_id, status=202 if outcome.is_new else 200, **in_force_fields)
    problem: Problem = problem_of(outcome)
    return BatchItem(id=submission_id, status=problem.status, problem=problem)
