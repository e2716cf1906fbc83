"""Authentication and authorization at the desk: sessions by password or by a trusted sign-on proxy."""

from dataclasses import dataclass, field
from typing import Annotated, Final, cast

from fastapi import Depends, Path, Request

from worker.domain.accounts.reviewer import Reviewer
from worker.store.accounts.desk_sessions import DeskSession
from worker.store.accounts.reviewers import Account
from worker.web.desk.request import cookies
from worker.web.desk.request.clients import RequestOrigin, origin_of
from worker.web.desk.request.forms import Form, read_form
from worker.web.desk.request.service import DeskService
from worker.web.http.problems import ProblemError


class SignInNeededError(Exception):
    """The request has no session; the browser is redirected to the login page."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """A signed-in person."""

    session_id: str
    account: Account
    #: The CSRF token in this person's forms.
    form_token: str = field(repr=False)
    by_proxy: bool

    @property
    def reviewer(self) -> Reviewer:
        """Return the reviewer, with role and limits."""
        return self.account.reviewer


@dataclass(frozen=True, slots=True)
class Posted:
    """A form that a signed-in person sent, with a valid CSRF token."""

    visitor: Visitor
    form: Form


def _desk(request: Request) -> DeskService:
    return cast("DeskService", request.app.state.desk)


#: Routes that the page's script calls: they do not count as activity of the person.
_BY_SCRIPT: Final = {
    "/renew",
    "/ahead",
    "/pictures/{review_id}/{variant}/{page}/{frame}",
    "/pictures/{review_id}/heat/{label}",
}

Desk = Annotated[DeskService, Depends(_desk)]
#: The id of a review, within the range of a BIGINT.
ReviewNumber = Annotated[int, Path(ge=1, lt=2**63)]


def _origin(request: Request, desk: Desk) -> RequestOrigin:
    # With a path prefix, other applications share the host and must not get the session cookie.
    return origin_of(request, desk.proxies, desk.root if desk.settings.web_root_path else "/")


Origin = Annotated[RequestOrigin, Depends(_origin)]


def _visitor(request: Request, desk: Desk, origin: Origin) -> Visitor:
    proxy_name = _name_from_proxy(request, desk, origin)
    token = cookies.read(request, cookies.SESSION, origin)
    found = desk.parts.sessions.find(token) if token else None
    if found and _belongs_to(found, proxy_name):
        if request.scope["route"].path not in _BY_SCRIPT:
            desk.parts.sessions.note_use(found.id)
        return _visitor_of(request, found, token)
    if proxy_name is None or request.method != "GET":
        raise SignInNeededError
    token = desk.parts.sign_in.by_proxy(proxy_name) or ""
    found = desk.parts.sessions.find(token) if token else None
    if found is None:
        raise ProblemError(
            403,
            f"{proxy_name[:80]} has no account at this desk",
            hint="an admin can create one: moderate reviewer add NAME --sso",
        )
    cookies.set_on_response(request, cookies.SESSION, token, origin)
    return _visitor_of(request, found, token)


SignedIn = Annotated[Visitor, Depends(_visitor)]


def _lead(visitor: SignedIn) -> Visitor:
    if not visitor.reviewer.is_lead:
        raise ProblemError(403, "this page is for leads")
    return visitor


Lead = Annotated[Visitor, Depends(_lead)]
AnyForm = Annotated[Form, Depends(read_form)]


def _posted(request: Request, visitor: SignedIn, form: AnyForm, origin: Origin) -> Posted:
    secret = cookies.read(request, cookies.SESSION, origin)
    check_form(request, form, secret)
    return Posted(visitor, form)


Post = Annotated[Posted, Depends(_posted)]


def check_form(request: Request, form: Form, secret: str) -> None:
    """Raise ProblemError if a form comes from another site or has no valid token for this cookie."""
    # Current browsers send this header; for older ones there is the token.
    is_cross_site = request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}
    if is_cross_site or not cookies.is_form_token(form.get("form_token"), secret):
        raise ProblemError(
            403, "this form is not from a page of yours", hint="go back, reload the page, and send it again"
        )


def _name_from_proxy(request: Request, desk: DeskService, origin: RequestOrigin) -> str | None:
    """Return the name in the trusted proxy's header; None if people sign in by password here."""
    header = desk.settings.reviewer_header
    if not header:
        return None
    names = request.headers.getlist(header)
    # Of two headers one could be the browser's.
    if not origin.by_proxy or len(names) != 1 or not names[0].strip():
        raise ProblemError(
            401,
            "people sign in at this desk only through their company's sign-on",
            hint="open the desk at the address that your lead gave you",
        )
    return names[0].strip().lower()


def _belongs_to(found: DeskSession, proxy_name: str | None) -> bool:
    """Whether a session belongs to the proxy's user; without a proxy, whether it was begun by password."""
    return found.by_proxy == (proxy_name is not None) and proxy_name in {None, found.account.reviewer.name}


def _visitor_of(request: Request, found: DeskSession, token: str) -> Visitor:
    request.state.key_id = found.account.reviewer.name
    return Visitor(found.id, found.account, cookies.form_token(token), found.by_proxy)
