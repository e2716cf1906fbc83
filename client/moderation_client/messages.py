"""The message that carries a submission: written by producers, read by workers, strict on both sides."""

import base64
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final, assert_never

from moderation_client.callback import callback_of, callback_record
from moderation_client.errors import InvalidSubmissionError
from moderation_client.submission import (
    ImageUrl,
    InlineBytes,
    LocalFile,
    Source,
    StoredObject,
    Submission,
)
from moderation_client.traceparent import TRACEPARENT, traceparent_of

TASK: Final = "moderation.check"
TASK_MANY: Final = "moderation.check_many"
#: Submissions that one message of `moderation.check_many` carries at most.
MAX_SUBMISSIONS: Final = 64
DEFAULT_QUEUE: Final = "moderation"
#: The header that says when a message was put on the queue, in seconds since 1970.
SENT_AT: Final = "moderation-sent-at"

_FIELDS: Final = ("id", "source", "policy", "reference", "sha256", "context", "callback", "again")
#: The fields that each kind of source has beside `kind`.
_SOURCE_FIELDS: Final = {
    "file": ("path",),
    "bytes": ("base64",),
    "url": ("url",),
    "object": ("store", "key"),
}

Message = dict[str, Any]


def to_message(submission: Submission) -> Message:
    """Return the keyword arguments of the task `moderation.check`: JSON types only."""
    return {
        "id": submission.id,
        "source": _source_to_message(submission.source),
        "policy": submission.policy,
        "reference": submission.reference,
        "sha256": submission.sha256,
        "context": submission.context,
        "callback": callback_record(submission.callback),
        # Left out otherwise: workers of an earlier version refuse what they do not know.
        **({} if submission.again is None else {"again": submission.again}),
    }


def to_many_message(submissions: Sequence[Submission]) -> Message:
    """Return the keyword arguments of the task `moderation.check_many`.

    InvalidSubmissionError if there are none or too many, or if one brings its picture along.
    """
    is_list = isinstance(submissions, list | tuple)
    if not is_list or not all(isinstance(one, Submission) for one in submissions):
        raise InvalidSubmissionError(
            "many submissions are a list of Submission", hint="[Submission(id, LocalFile(path)), ...]"
        )
    if not 0 < len(submissions) <= MAX_SUBMISSIONS:
        raise InvalidSubmissionError(
            f"one message carries 1 to {MAX_SUBMISSIONS} submissions, not {len(submissions):,}"
        )
    heavy = [submission.id for submission in submissions if isinstance(submission.source, InlineBytes)]
    if heavy:
        raise InvalidSubmissionError(
            f"one message carries many references, but no pictures: {', '.join(heavy[:5])}",
            hint="send pictures as bytes one by one",
        )
    return {"submissions": [to_message(submission) for submission in submissions]}


def from_message(message: Mapping[str, Any], positional: tuple[Any, ...] = ()) -> Submission:
    """Read the arguments of the task `moderation.check`.

    InvalidSubmissionError names every problem at once: wrong types, missing and unknown fields.
    """
    problems = _form_problems(message, positional)
    if problems:
        raise InvalidSubmissionError("; ".join(problems), hint=f"the fields are {', '.join(_FIELDS)}")
    return Submission(
        id=message["id"],
        source=_source_from_message(message["source"]),
        policy=message.get("policy"),
        reference=message.get("reference") or "",
        sha256=message.get("sha256"),
        context=message.get("context"),
        callback=callback_of(message.get("callback")),
        again=message.get("again"),
    )


def from_many_message(message: Mapping[str, Any], positional: tuple[Any, ...] = ()) -> list[Message]:
    """Read the arguments of the task `moderation.check_many`: a list of messages, each still to be read.

    InvalidSubmissionError where they are no such list, or too long a one.
    """
    problems = ["positional arguments are not understood, pass keywords"] if positional else []
    problems += _unknown_fields(message, ("submissions",), "")
    found = message.get("submissions")
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        problems.append("field 'submissions' must be a list of objects")
    elif not 0 < len(found) <= MAX_SUBMISSIONS:
        problems.append(f"field 'submissions' must have 1 to {MAX_SUBMISSIONS} entries, not {len(found):,}")
    if problems:
        raise InvalidSubmissionError("; ".join(problems))
    return list(message["submissions"])


def submission_ids(fields: object) -> list[str]:
    """Return the ids in the keyword arguments of either task; of malformed ones, those that can be read."""
    if not isinstance(fields, Mapping):
        return []
    many = fields.get("submissions")
    entries = many if isinstance(many, list) else [fields]
    return [str(one["id"]) for one in entries if isinstance(one, Mapping) and "id" in one]


def to_headers(traceparent: str | None, sent_at: float) -> Message:
    """Return what a message says beside a task's arguments: its trace, and when it was sent, in seconds."""
    return {SENT_AT: sent_at} | ({TRACEPARENT: traceparent} if traceparent else {})


def with_headers(submission: Submission, headers: Mapping[str, Any]) -> Submission:
    """Return a submission with what its message's headers say; what makes no sense there is ignored."""
    traceparent = traceparent_of(headers.get(TRACEPARENT))
    return replace(submission, traceparent=traceparent, sent_at=_moment(headers.get(SENT_AT)))


def source_record(source: Source) -> Message | None:
    """Return where a picture is, as the ledger keeps it; None where it travels inside the message.

    A URL is kept without its query, which may be a signature, and says so where it had one.
    """
    match source:
        case InlineBytes():
            return None
        case ImageUrl(url):
            removed = {"query": "removed"} if "?" in url else {}
            return {"kind": "url", "url": str(source), **removed}
        case _:
            return _source_to_message(source)


def unrecorded_source(source: Source) -> Message | None:
    """Return a source whole, where its record leaves out what reading it takes; None where it does not."""
    whole = _source_to_message(source)
    return None if whole == source_record(source) else whole


def recorded_source(record: Mapping[str, Any] | None) -> Source | None:
    """Return where the ledger says a picture is; None where it travelled inside the message."""
    if record is None or _source_problems(record):
        return None
    return _source_from_message(record)


def _source_to_message(source: Source) -> Message:
    match source:
        case LocalFile(path):
            return {"kind": "file", "path": path}
        case InlineBytes(data):
            return {"kind": "bytes", "base64": base64.b64encode(data).decode("ascii")}
        case ImageUrl(url):
            return {"kind": "url", "url": url}
        case StoredObject(store, key):
            return {"kind": "object", "store": store, "key": key}
        case _:
            assert_never(source)


def _source_from_message(source: Mapping[str, str]) -> Source:
    match source["kind"]:
        case "file":
            return LocalFile(source["path"])
        case "url":
            return ImageUrl(source["url"])
        case "object":
            return StoredObject(source["store"], source["key"])
    try:
        return InlineBytes(base64.b64decode(source["base64"], validate=True))
    except ValueError:
        raise InvalidSubmissionError("field 'source.base64' is not base64") from None


def _form_problems(message: Mapping[str, Any], positional: tuple[Any, ...]) -> list[str]:
    problems = ["positional arguments are not understood, pass keywords"] if positional else []
    problems += _unknown_fields(message, _FIELDS, "")
    problems += [f"field {name!r} is missing" for name in ("id", "source") if name not in message]
    problems += [
        f"field {name!r} must be text{'' if name == 'id' else ' or null'}, not {_kind(message[name])}"
        for name in ("id", "policy", "reference", "sha256", "again")
        if name in message and not _is_text(message[name], null_allowed=name != "id")
    ]
    if not isinstance(message.get("context"), dict | None):
        problems.append(f"field 'context' must be an object or null, not {_kind(message['context'])}")
    return problems + (_source_problems(message["source"]) if "source" in message else [])


def _source_problems(source: object) -> list[str]:
    if not isinstance(source, Mapping):
        return [f"field 'source' must be an object, not {_kind(source)}"]
    kind = source.get("kind")
    if not isinstance(kind, str) or kind not in _SOURCE_FIELDS:
        known = ", ".join(repr(name) for name in _SOURCE_FIELDS)
        return [f"field 'source.kind' must be one of {known}, not {str(kind)[:40]!r}"]
    problems = _unknown_fields(source, ("kind", *_SOURCE_FIELDS[kind]), "source.")
    for field in _SOURCE_FIELDS[kind]:
        if field not in source:
            problems.append(f"field 'source.{field}' is missing")
        elif not isinstance(source[field], str):
            problems.append(f"field 'source.{field}' must be text, not {_kind(source[field])}")
    return problems


def _unknown_fields(found: Mapping[str, Any], known: tuple[str, ...], prefix: str) -> list[str]:
    problems = []
    for name in sorted(str(name)[:80] for name in found if name not in known)[:5]:
        near = difflib.get_close_matches(name, known, 1)
        problems.append(f"unknown field {prefix + name!r}" + (f", did you mean {near[0]!r}?" if near else ""))
    return problems


def _moment(seconds: object) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC) if isinstance(seconds, int | float) else None
    except (OverflowError, OSError, ValueError):
        return None


def _is_text(value: object, *, null_allowed: bool) -> bool:
    return isinstance(value, str) or (null_allowed and value is None)


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", bool: "a Boolean", int: "a number", float: "a number"}
    return "null" if value is None else names.get(type(value), type(value).__name__)
