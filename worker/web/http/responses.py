"""OpenAPI descriptions of responses: the problems a route can answer with, and its headers."""

from http import HTTPStatus
from typing import Any, Final

from worker.web.http.problems import MEDIA_TYPE

_HEADERS: Final = {
    "Location": "Where to get the decision.",
    "Retry-After": "Seconds to wait before the next request.",
    "Preference-Applied": "The preference that was honoured.",
}
_WHEN: Final = {
    400: "The body cannot be read.",
    401: "The API key is missing, unknown or revoked.",
    403: "The API key does not have the scope.",
    404: "There is no such submission.",
    408: "The body took too long.",
    409: "The id belongs to another submission.",
    413: "The body or the picture is too large.",
    415: "The body's media type is not supported.",
    422: "Something is invalid; the detail says what.",
    429: "The API key exceeded its rate limit; Retry-After says when to try again.",
    503: "Something the service needs is unavailable; Retry-After says when to try again.",
}


def problems(*statuses: int, **descriptions: str) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI descriptions of these statuses; `on_409="..."` replaces the usual one."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {
            "description": descriptions.get(f"on_{status}", _WHEN[status]),
            "content": content,
            **(with_headers("Retry-After") if status in {HTTPStatus.TOO_MANY_REQUESTS, 503} else {}),
        }
        for status in statuses
    }


def with_headers(*names: str) -> dict[str, Any]:
    """Return the OpenAPI descriptions of these headers."""
    return {
        "headers": {name: {"description": _HEADERS[name], "schema": {"type": "string"}} for name in names}
    }
