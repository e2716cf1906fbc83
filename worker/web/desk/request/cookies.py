"""Cookies of the desk, and the CSRF tokens of its forms."""

import hashlib
import hmac
from datetime import timedelta
from typing import Final

from fastapi import Request
from fastapi.responses import Response

from worker.store.accounts.desk_sessions import LONGEST
from worker.web.desk.request.clients import RequestOrigin

#: Browsers accept these prefixes only over TLS, and `__Host-` only for this host and the path `/`.
_HOST_PREFIX: Final = "__Host-"
_SECURE_PREFIX: Final = "__Secure-"
SESSION: Final = "desk"
#: The secret of the login form's CSRF token, before there is a session.
LOGIN: Final = "desk-login"


#: The token of a known browser.
KNOWN_BROWSER: Final = "desk-known"
KNOWN_BROWSER_FOR: Final = timedelta(days=180)


def read(request: Request, name: str, origin: RequestOrigin) -> str:
    """Return the value of a desk cookie, empty if it is missing."""
    return request.cookies.get(_full_name(name, origin), "")


def set_cookie(
    response: Response, name: str, value: str, origin: RequestOrigin, kept_for: timedelta = LONGEST
) -> None:
    """Set a cookie that no script can read and no other site can send."""
    response.set_cookie(
        _full_name(name, origin),
        value,
        max_age=int(kept_for.total_seconds()),
        path=origin.cookie_path,
        secure=_is_secure(origin),
        httponly=True,
        samesite="lax",
    )


def set_on_response(request: Request, name: str, value: str, origin: RequestOrigin) -> None:
    """Set a cookie on the response to this request, whichever route makes it."""
    carrier = Response()
    set_cookie(carrier, name, value, origin)
    request.state.cookie = carrier.headers["Set-Cookie"]


def delete(response: Response, name: str, origin: RequestOrigin) -> None:
    """Delete a cookie."""
    response.delete_cookie(
        _full_name(name, origin),
        path=origin.cookie_path,
        secure=_is_secure(origin),
        httponly=True,
        samesite="lax",
    )


def form_token(secret: str) -> str:
    """Return the CSRF token of forms for the browser with this cookie."""
    return hmac.new(secret.encode(), b"a form of the review desk", hashlib.sha256).hexdigest()


def is_form_token(token: str, secret: str) -> bool:
    """Whether this is the CSRF token for the cookie's value."""
    return bool(secret) and hmac.compare_digest(token.encode(), form_token(secret).encode())


def _is_secure(origin: RequestOrigin) -> bool:
    # Without TLS only if the browser is on the same machine.
    return origin.is_https or not origin.is_private


def _full_name(name: str, origin: RequestOrigin) -> str:
    if not _is_secure(origin):
        return name
    return f"{_HOST_PREFIX if origin.cookie_path == '/' else _SECURE_PREFIX}{name}"
