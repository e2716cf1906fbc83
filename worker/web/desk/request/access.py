"""Who is at the desk: a session by password or by the word of our proxy, and what the person may do."""

from dataclasses import dataclass, field
from typing import Annotated, Final, cast

from fastapi import Depends, Path, Request

from worker.domain.accounts.reviewer import Reviewer
from worker.store.accounts import desk_sessions
from worker.store.accounts.reviewers import Account
from worker.web.desk.request import cookies
from worker.web.desk.request.clients import RequestOrigin, origin_of
from worker.web.desk.request.forms import Form, read_form
from worker.web.desk.request.service import DeskService
from worker.web.http.problems import ProblemError


class SignInNeededError(Exception):
    """Nobody is signed in; whoever asked is led to the login."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """A person who is signed in."""

    session_id: str
    account: Account
    #: What the forms for this person carry.
    form_token: str = field(repr=False)
    by_proxy: bool

    @property
    def reviewer(self) -> Reviewer:
        """Return what this person may do."""
        return self.account.reviewer


@dataclass(frozen=True, slots=True)
class Posted:
    """A form that a person sent from a page that was made for them."""

    visitor: Visitor
    form: Form


def _desk(request: Request) -> DeskService:
    return cast("DeskService", request.app.state.desk)


#: Routes that a page's own script calls: they are no sign that a person is still there.
_BY_SCRIPT: Final = {"/renew", "/ahead", "/pictures/{review_id}/{variant}/{page}/{frame}"}

Desk = Annotated[DeskService, Depends(_desk)]
#: The number of a review: what a BIGINT holds.
ReviewNumber = Annotated[int, Path(ge=1, lt=2**63)]


def _origin(request: Request, desk: Desk) -> RequestOrigin:
    # With a path of our own, others share the host, and must not be sent what opens the desk.
    return origin_of(request, desk.proxies, desk.root if desk.settings.web_root_path else "/")


Origin = Annotated[RequestOrigin, Depends(_origin)]


def _visitor(request: Request, desk: Desk, origin: Origin) -> Visitor:
    vouched = _vouched_name(request, desk, origin)
    token = cookies.read(request, cookies.SESSION, origin)
    found = _find(desk, token) if token else None
    if found and _is_of(found, vouched):
        if request.scope["route"].path not in _BY_SCRIPT:
            _note_use(desk, found)
        return _as_visitor(request, found, token)
    if vouched is None or request.method != "GET":
        raise SignInNeededError
    token = desk.parts.sign_in.by_proxy(vouched) or ""
    found = _find(desk, token) if token else None
    if found is None:
        raise ProblemError(
            403,
            f"{vouched[:80]} has no account at this desk",
            hint="an admin makes one: moderate reviewer add NAME --sso",
        )
    cookies.give_later(request, cookies.SESSION, token, origin)
    return _as_visitor(request, found, token)


Here = Annotated[Visitor, Depends(_visitor)]


def _lead(visitor: Here) -> Visitor:
    if not visitor.reviewer.is_lead:
        raise ProblemError(403, "this page is for leads")
    return visitor


Lead = Annotated[Visitor, Depends(_lead)]
AnyForm = Annotated[Form, Depends(read_form)]


def _posted(request: Request, visitor: Here, form: AnyForm, origin: Origin) -> Posted:
    secret = cookies.read(request, cookies.SESSION, origin)
    check_form(request, form, secret)
    return Posted(visitor, form)


Post = Annotated[Posted, Depends(_posted)]


def check_form(request: Request, form: Form, secret: str) -> None:
    """Raise ProblemError where a form was not made for whoever has this cookie."""
    # Every browser of today says so; what does not is told by the token.
    elsewhere = request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}
    if elsewhere or not cookies.is_form_token(form.get("form_token"), secret):
        raise ProblemError(
            403, "this form is not from a page of yours", hint="go back, load the page again, and repeat it"
        )


def _vouched_name(request: Request, desk: DeskService, origin: RequestOrigin) -> str | None:
    """Return whom our proxy vouches for; None where people sign in by password here."""
    header = desk.settings.reviewer_header
    if not header:
        return None
    names = request.headers.getlist(header)
    # Two of them could be the proxy's and the browser's.
    if not origin.by_proxy or len(names) != 1 or not names[0].strip():
        raise ProblemError(
            401,
            "people sign in at this desk through their company's sign-on alone",
            hint="open the desk at the address that your lead gave you",
        )
    return names[0].strip().lower()


def _is_of(found: desk_sessions.DeskSession, vouched: str | None) -> bool:
    """Whether a session is of whom the proxy vouches for, or, where None does, was begun by password."""
    return found.by_proxy == (vouched is not None) and vouched in {None, found.account.reviewer.name}


def _find(desk: DeskService, token: str) -> desk_sessions.DeskSession | None:
    with desk.database.reading() as session:
        return desk_sessions.find(session, token)


def _note_use(desk: DeskService, found: desk_sessions.DeskSession) -> None:
    with desk.database.reading() as session:
        is_stale = desk_sessions.seen_is_stale(session, found.id)
    if is_stale:
        with desk.database.transaction() as session:
            desk_sessions.note_use(session, found.id)


def _as_visitor(request: Request, found: desk_sessions.DeskSession, token: str) -> Visitor:
    request.state.key_id = found.account.reviewer.name
    return Visitor(found.id, found.account, cookies.form_token(token), found.by_proxy)
