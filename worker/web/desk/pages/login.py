"""Signing in and out, and preferences."""

import secrets
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from worker.usecases.accounts.sign_in import LoginRefusedError, normal_name
from worker.web.desk.rendering.pages import page
from worker.web.desk.request import cookies
from worker.web.desk.request.access import AnyForm, Desk, Origin, Post, SignInNeededError, check_form
from worker.web.desk.request.clients import RequestOrigin
from worker.web.desk.request.service import DeskService

router = APIRouter()


@router.get("/login")
def show(
    request: Request, desk: Desk, origin: Origin, wanted: Annotated[str, Query(alias="next")] = ""
) -> Response:
    """Show the login form."""
    if desk.settings.reviewer_header:
        return RedirectResponse(f"{desk.root}/", 303)
    return _form(request, desk, origin, wanted)


@router.post("/login")
def sign_in(request: Request, desk: Desk, origin: Origin, form: AnyForm) -> Response:
    """Sign in."""
    if desk.settings.reviewer_header:
        raise SignInNeededError
    wanted, secret = form.get("next"), cookies.read(request, cookies.LOGIN, origin)
    if not secret:
        why = "your browser did not send the desk's cookie back: allow cookies"
        if not origin.is_private:
            why = "the desk has to be opened by https: your browser keeps no session here"
        return _form(request, desk, origin, wanted, why, 403)
    check_form(request, form, secret)
    name = normal_name(form.get("name"))
    browser = desk.browsers.find(name, cookies.read(request, cookies.KNOWN_BROWSER, origin))
    try:
        token = desk.parts.sign_in(name, form.get("password"), origin.rate_limit_key, browser)
    except LoginRefusedError as refusal:
        hint = f"{refusal.message}; {refusal.hint}" if refusal.hint else refusal.message
        return _form(request, desk, origin, wanted, hint, refusal.http_status, form.get("name"))
    answer = RedirectResponse(_within(desk, wanted), 303)
    cookies.delete(answer, cookies.LOGIN, origin)
    cookies.set_cookie(answer, cookies.SESSION, token, origin)
    if not browser:
        cookies.set_cookie(
            answer, cookies.KNOWN_BROWSER, desk.browsers.make(name), origin, cookies.KNOWN_BROWSER_FOR
        )
    return answer


@router.post("/logout")
def sign_out(desk: Desk, origin: Origin, posted: Post) -> Response:
    """End the session, in the browser and in the database."""
    desk.parts.sessions.end(posted.visitor.session_id)
    answer = RedirectResponse(f"{desk.root}/login", 303)
    cookies.delete(answer, cookies.SESSION, origin)
    answer.headers["Clear-Site-Data"] = '"cache"'
    return answer


@router.post("/preferences")
def prefer(desk: Desk, posted: Post) -> Response:
    """Store whether pictures are shown unveiled at once."""
    desk.parts.accounts.show_clear(posted.visitor.reviewer.name, clear=posted.form.get("pictures") == "clear")
    return RedirectResponse(_within(desk, posted.form.get("next")), 303)


def _form(  # noqa: PLR0913, PLR0917 - what the page shows
    request: Request,
    desk: DeskService,
    origin: RequestOrigin,
    wanted: str,
    problem: str = "",
    status: int = 200,
    name: str = "",
) -> Response:
    # Another tab may have the form open too: keep its cookie valid.
    secret = cookies.read(request, cookies.LOGIN, origin) or secrets.token_urlsafe(32)
    answer = page(
        request,
        "login.html",
        status=status,
        form_token=cookies.form_token(secret),
        next=_within(desk, wanted),
        problem=problem,
        name=name[:80],
        has_no_accounts=not desk.parts.accounts.has_usable(),
    )
    cookies.set_cookie(answer, cookies.LOGIN, secret, origin)
    return answer


def _within(desk: DeskService, address: str) -> str:
    """Return the URL if it is within the desk, else that of the desk's first page."""
    home = f"{desk.root}/"
    inside = address.startswith(home) and address.isprintable() and address.isascii()
    return address if inside and not {"\\", " "} & set(address) else home
