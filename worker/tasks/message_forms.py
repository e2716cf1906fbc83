"""Converts every form of message that clients send to Celery's protocol 2 with a JSON body."""

from typing import Any, Final
from uuid import uuid4

from kombu.utils.json import dumps

_JSON: Final = "application/json"
#: Fields that protocol 1 has in the body and protocol 2 in the headers.
_HEADERS: Final = ("task", "id", "retries", "eta", "expires", "timelimit", "group", "root_id", "parent_id")


def to_protocol_2(message: Any) -> None:
    """Convert a message in place; TypeError if its body is not the call of a task.

    Accepts protocol 1, as clients in Go and PHP send it; for the arguments and keywords also `null`, or an
    empty list instead of an object and vice versa; a content type in capitals, with a charset, or missing.
    """
    message.content_type = _content_type(message.content_type)
    message.content_encoding = message.content_encoding or "utf-8"
    match message.decode():
        case [list(), dict(), dict() | None]:
            return
        case [args, kwargs, dict() | None as options]:
            pass
        case {"task": str()} as call:
            args, kwargs, options = call.get("args"), call.get("kwargs"), None
            message.headers = _headers(call, message) | dict(message.headers or {})
        case _:
            raise TypeError("its body is not [arguments, keywords, options]")
    body = [_empty_or(args, list), _empty_or(kwargs, dict), options or {}]
    message.body, message.content_type, message.content_encoding = dumps(body).encode(), _JSON, "utf-8"
    # kombu caches the original body.
    message._decoded_cache = None  # noqa: SLF001


def _content_type(written: object) -> object:
    """Return kombu's name for a content type. A charset is ignored: JSON is UTF-8."""
    if not isinstance(written, str):
        return _JSON if written is None else written
    kind = written.lower().partition(";")[0].strip()
    is_json = not kind or kind.rpartition("/")[2].rpartition("+")[2] == "json"
    return _JSON if is_json else kind


def _headers(call: dict[str, Any], message: Any) -> dict[str, Any]:
    found = {name: call[name] for name in _HEADERS if call.get(name) is not None}
    found.setdefault("id", message.properties.get("correlation_id") or str(uuid4()))
    return {"lang": "", "argsrepr": "", "kwargsrepr": ""} | found


def _empty_or(value: object, kind: type) -> object:
    """Return a value of type `kind`; `null`, [] and {} all mean an empty one."""
    if value is None or value in ([], {}):
        return kind()
    if not isinstance(value, kind):
        raise TypeError(f"its {'arguments are' if kind is list else 'keywords are'} not {kind.__name__}")
    return value
