"""The desk's FastAPI application: its routes, and its errors as pages that say what to do."""

from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from worker.errors import ModerationError, ReviewConflictError
from worker.web.desk.pages import history, item, lead, login, pictures, queue, verdict
from worker.web.desk.rendering import assets
from worker.web.desk.rendering.pages import page
from worker.web.desk.request.access import SignInNeededError
from worker.web.desk.request.guard import SecurityHeaders
from worker.web.desk.request.service import DeskService
from worker.web.http.problems import ProblemError, problem_of

PAGES: Final = (assets, login, queue, item, verdict, pictures, history, lead)


def create_desk(desk: DeskService) -> FastAPI:
    """Return the application, to be mounted under `/review`."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.desk = desk
    for module in PAGES:
        app.include_router(module.router)
    app.add_exception_handler(SignInNeededError, _redirect_to_login)
    app.add_exception_handler(ProblemError, _answer_problem)
    app.add_exception_handler(ReviewConflictError, _answer_conflict)
    app.add_exception_handler(ModerationError, _answer_moderation_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_http_exception)
    app.add_exception_handler(Exception, _answer_unexpected)
    app.add_middleware(SecurityHeaders)
    return app


def _redirect_to_login(request: Request, _: Any) -> Response:
    if request.method != "GET" or _expects_no_html(request):
        return _error(
            request, 401, "you are not signed in any more", "sign in again in another tab, then repeat it"
        )
    query = f"?{request.url.query}" if request.url.query else ""
    wanted = urlencode({"next": f"{request.url.path}{query}"})
    return RedirectResponse(f"{request.scope['root_path']}/login?{wanted}", 303)


def _answer_problem(request: Request, error: Any) -> Response:
    answer = _error(request, error.status, error.detail, error.hint)
    answer.headers.update(error.headers)
    return answer


def _answer_conflict(request: Request, error: Any) -> Response:
    if _expects_no_html(request):
        return _error(request, 409, error.message)
    return page(request, "conflict.html", status=409, message=error.message, hint=error.hint)


def _answer_moderation_error(request: Request, error: Any) -> Response:
    problem = problem_of(error)
    return _error(request, problem.status, problem.detail, problem.hint or "")


def _answer_invalid(request: Request, _: Any) -> Response:
    return _error(request, 404, "there is nothing at this address")


def _answer_http_exception(request: Request, error: Any) -> Response:
    details = {404: "there is nothing at this address", 405: "this is not allowed here"}
    return _error(request, error.status_code, details.get(error.status_code, str(error.detail)))


def _answer_unexpected(request: Request, _: Exception) -> Response:
    # The server logs the traceback.
    return _error(request, 500, "the desk failed", "try again; your lead can find it in the log")


def _error(request: Request, status: int, detail: str, hint: str = "") -> Response:
    if _expects_no_html(request):
        return PlainTextResponse(detail, status)
    return page(
        request, "error.html", status=status, title=HTTPStatus(status).phrase, message=detail, hint=hint
    )


def _expects_no_html(request: Request) -> bool:
    """Whether a script or an image sent the request, rather than a page."""
    accepted = request.headers.get("Accept", "*/*")
    return "text/html" not in accepted and accepted != "*/*"
