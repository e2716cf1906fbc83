"""The session's cookie, and the tokens that show that a form is ours."""

import hashlib
import hmac
from datetime import timedelta
from typing import Final

from fastapi import Request
from fastapi.responses import Response

from worker.store.accounts.desk_sessions import LONGEST
from worker.web.desk.request.clients import RequestOrigin

#: With these prefixes browsers take the cookie over TLS alone; with the first for this host alone, and only
#: for the whole of it.
_HOST_PREFIX: Final = "__Host-"
_SECURE_PREFIX: Final = "__Secure-"
SESSION: Final = "desk"
#: Of whoever is not signed in yet: it shows that the login form is ours.
BEFORE: Final = "desk-login"


#: Of a browser from which somebody signed in: it says nothing but that.
KNOWN: Final = "desk-known"
KNOWN_FOR: Final = timedelta(days=180)


def read(request: Request, name: str, origin: RequestOrigin) -> str:
    """Return the value of a cookie of ours, empty where there is none."""
    return request.cookies.get(_full(name, origin), "")


def give(
    response: Response, name: str, value: str, origin: RequestOrigin, kept_for: timedelta = LONGEST
) -> None:
    """Have the browser keep a cookie that no script can read and no other site can send."""
    response.set_cookie(
        _full(name, origin),
        value,
        max_age=int(kept_for.total_seconds()),
        path=origin.cookie_path,
        secure=_is_secure(origin),
        httponly=True,
        samesite="lax",
    )


def give_later(request: Request, name: str, value: str, origin: RequestOrigin) -> None:
    """Have the answer to this request, whatever it will be, carry a cookie."""
    marked = Response()
    give(marked, name, value, origin)
    request.state.cookie = marked.headers["Set-Cookie"]


def take_back(response: Response, name: str, origin: RequestOrigin) -> None:
    """Have the browser forget a cookie."""
    response.delete_cookie(
        _full(name, origin), path=origin.cookie_path, secure=_is_secure(origin), httponly=True, samesite="lax"
    )


def form_token(secret: str) -> str:
    """Return what a form of ours carries for whoever has this cookie."""
    return hmac.new(secret.encode(), b"a form of the review desk", hashlib.sha256).hexdigest()


def is_form_token(token: str, secret: str) -> bool:
    """Whether a form that carries this token was made for whoever has this cookie."""
    return bool(secret) and hmac.compare_digest(token.encode(), form_token(secret).encode())


def _is_secure(origin: RequestOrigin) -> bool:
    # Only where no network lies between may it go without TLS.
    return origin.is_https or not origin.is_private


def _full(name: str, origin: RequestOrigin) -> str:
    if not _is_secure(origin):
        return name
    return f"{_HOST_PREFIX if origin.cookie_path == '/' else _SECURE_PREFIX}{name}"
