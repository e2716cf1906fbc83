"""What OpenAPI says about answers: the problems a route can have, and the headers it sends."""

from http import HTTPStatus
from typing import Any, Final

from worker.web.http.problems import MEDIA_TYPE

_HEADERS: Final = {
    "Location": "Where to look for the decision.",
    "Retry-After": "In how many seconds to look again.",
    "Preference-Applied": "The preference that was honoured.",
}
_WHEN: Final = {
    400: "The body cannot be read.",
    401: "There is no API key, or none that opens anything.",
    403: "The API key does not have the scope.",
    404: "There is no such submission.",
    408: "The body took too long.",
    409: "The id belongs to another submission.",
    413: "The body or the picture is too large.",
    415: "The body is of a kind that is not understood.",
    422: "Something does not fit; the detail says what.",
    429: "The API key has asked too much; Retry-After says when it may again.",
    503: "Something the service needs is away; Retry-After says when to try again.",
}


def problems(*statuses: int, **said: str) -> dict[int | str, dict[str, Any]]:
    """Return what OpenAPI says about these statuses, `on_409="..."` where it says something of its own."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {
            "description": said.get(f"on_{status}", _WHEN[status]),
            "content": content,
            **(with_headers("Retry-After") if status in {HTTPStatus.TOO_MANY_REQUESTS, 503} else {}),
        }
        for status in statuses
    }


def with_headers(*names: str) -> dict[str, Any]:
    """Return what OpenAPI says about these headers."""
    return {
        "headers": {name: {"description": _HEADERS[name], "schema": {"type": "string"}} for name in names}
    }
