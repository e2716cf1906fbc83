"""Turns every error into a problem (RFC 9457): what is wrong and what to do, without internals."""

import logging
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from worker.errors import InvalidSubmissionError, ModerationError

log = logging.getLogger(__name__)

MEDIA_TYPE: Final = "application/problem+json"
#: `Retry-After` if a dependency is unavailable.
RETRY_AFTER_SECONDS: Final = 5


class FieldProblem(BaseModel):
    """One invalid field."""

    where: str = Field(description="The field, such as `query.limit`.")
    detail: str


class Problem(BaseModel):
    """What is wrong, in the form of RFC 9457."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "about:blank",
                    "title": "Conflict",
                    "status": 409,
                    "detail": "the id 'upload-7' belongs to another submission",
                    "hint": "with the same source, sha256, text and policy it is the same submission; "
                    "else take a new id",
                    "request_id": "5f1c2b7e9d3a4c60",
                }
            ]
        }
    )

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    hint: str | None = Field(None, description="What to do about it.")
    errors: list[FieldProblem] | None = Field(None, description="Each invalid field.")
    request_id: str | None = Field(None, description="Identifies the request in the service's log.")


class ProblemError(Exception):
    """Ends a request with a problem."""

    def __init__(self, status: int, detail: str, *, hint: str = "", **headers: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.hint = hint
        #: Keyword names have `_` in place of `-`.
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def problem_of(error: ModerationError) -> Problem:
    """Return the problem that a client sees; the message of a 5xx error is only logged."""
    if error.http_status < HTTPStatus.INTERNAL_SERVER_ERROR:
        problem = _problem(error.http_status, error.message, hint=error.hint)
        if isinstance(error, InvalidSubmissionError) and error.field:
            problem.errors = [FieldProblem(where=error.field, detail=error.message)]
        return problem
    log.error("%s", error.message)
    is_unavailable = error.http_status == HTTPStatus.SERVICE_UNAVAILABLE
    detail = "something the service needs is unavailable" if is_unavailable else "the service failed"
    return _problem(error.http_status, detail, hint="try again later" if is_unavailable else "")


def answer_errors(app: FastAPI) -> None:
    """Register handlers with which `app` answers every error with a problem."""
    app.add_exception_handler(ProblemError, _answer_problem)
    app.add_exception_handler(ModerationError, _answer_moderation_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_http_exception)
    app.add_exception_handler(Exception, _answer_unexpected)


def _answer_problem(request: Request, error: Any) -> JSONResponse:
    return _answer(request, _problem(error.status, error.detail, hint=error.hint), error.headers)


def _answer_moderation_error(request: Request, error: Any) -> JSONResponse:
    return _answer(request, problem_of(error))


def _answer_invalid(request: Request, error: Any) -> JSONResponse:
    fields = [FieldProblem(where=".".join(map(str, one["loc"])), detail=one["msg"]) for one in error.errors()]
    problem = _problem(422, "; ".join(f"{field.where}: {field.detail}" for field in fields))
    return _answer(request, problem.model_copy(update={"errors": fields}))


def _answer_http_exception(request: Request, error: Any) -> JSONResponse:
    details = {404: "there is nothing at this path", 405: f"{request.method} is not allowed here"}
    detail = details.get(error.status_code, str(error.detail))
    return _answer(request, _problem(error.status_code, detail), error.headers)


def _answer_unexpected(request: Request, _: Exception) -> JSONResponse:
    # The server logs the traceback.
    return _answer(request, _problem(500, "the service failed"))


def _problem(status: int, detail: str, *, hint: str = "") -> Problem:
    return Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, hint=hint or None)


def _answer(request: Request, problem: Problem, headers: Any = None) -> JSONResponse:
    problem = problem.model_copy(update={"request_id": request.state.request_id})
    retry = (
        {"Retry-After": str(RETRY_AFTER_SECONDS)} if problem.status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    )
    return JSONResponse(
        problem.model_dump(exclude_none=True),
        problem.status,
        {**retry, **(headers or {})},
        media_type=MEDIA_TYPE,
    )
