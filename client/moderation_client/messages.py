"""Writes and reads the messages that carry submissions; both sides refuse malformed ones.

{"id": "upload-7", "source": {"kind": "file", "path": "uploads/cat.jpg"}, "policy": "default", ...}
"""

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from types import NoneType
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
from moderation_client.submission_fields import SOURCE_KINDS, SUBMISSION_FIELDS, kind_of
from moderation_client.traceparent import TRACEPARENT, traceparent_of

TASK: Final = "moderation.check"
TASK_MANY: Final = "moderation.check_many"
#: Limit of submissions in one message of `moderation.check_many`.
MAX_SUBMISSIONS: Final = 64
DEFAULT_QUEUE: Final = "moderation"
#: The header with the time at which a message was enqueued, in seconds since 1970.
SENT_AT: Final = "moderation-sent-at"

#: For each type of JSON Schema, the class of its values in Python and its name in error messages.
_TYPES: Final[Mapping[str, tuple[type, str]]] = {
    "string": (str, "text"),
    "object": (dict, "an object"),
    "null": (NoneType, "null"),
}
_KINDS_BY_NAME: Final = {kind.name: kind for kind in SOURCE_KINDS}

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
        # Omitted if unset: workers of an earlier version refuse unknown fields.
        **({} if submission.again is None else {"again": submission.again}),
        **({"text": submission.text} if submission.text else {}),
    }


def to_many_message(submissions: Sequence[Submission]) -> Message:
    """Return the keyword arguments of the task `moderation.check_many`.

    InvalidSubmissionError unless there are 1 to 64, none of them with an inline picture.
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
    inline = [submission.id for submission in submissions if kind_of(submission.source).is_inline]
    if inline:
        raise InvalidSubmissionError(
            f"one message carries many references, but no pictures: {', '.join(inline[:5])}",
            hint="send pictures as bytes one by one",
        )
    return {"submissions": [to_message(submission) for submission in submissions]}


def from_message(message: Mapping[str, Any], positional: tuple[Any, ...] = ()) -> Submission:
    """Read the arguments of the task `moderation.check`.

    InvalidSubmissionError names every problem at once: wrong types, missing and unknown fields.
    """
    problems = _form_problems(message, positional)
    if problems:
        raise InvalidSubmissionError(
            "; ".join(problems), hint=f"the fields are {', '.join(SUBMISSION_FIELDS)}"
        )
    return Submission(
        id=message["id"],
        source=_source_from_message(message["source"]),
        policy=message.get("policy"),
        reference=message.get("reference") or "",
        sha256=message.get("sha256"),
        context=message.get("context"),
        callback=callback_of(message.get("callback")),
        again=message.get("again"),
        text=message.get("text") or "",
    )


def from_many_message(message: Mapping[str, Any], positional: tuple[Any, ...] = ()) -> list[Message]:
    """Read the arguments of the task `moderation.check_many`: messages for `from_message`.

    InvalidSubmissionError unless they are a list of 1 to 64 objects.
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
    """Return the ids in the keyword arguments of either task, as far as they can be read."""
    if not isinstance(fields, Mapping):
        return []
    many = fields.get("submissions")
    entries = many if isinstance(many, list) else [fields]
    return [str(one["id"]) for one in entries if isinstance(one, Mapping) and "id" in one]


def to_headers(traceparent: str | None, sent_at: float) -> Message:
    """Return the headers of a message: its trace, and the time it is sent, in seconds since 1970."""
    return {SENT_AT: sent_at} | ({TRACEPARENT: traceparent} if traceparent else {})


def with_headers(submission: Submission, headers: Mapping[str, Any]) -> Submission:
    """Return a submission with the trace and the time of its message's headers; invalid ones are ignored."""
    traceparent = traceparent_of(headers.get(TRACEPARENT))
    return replace(submission, traceparent=traceparent, sent_at=_time(headers.get(SENT_AT)))


def source_record(source: Source) -> Message | None:
    """Return a source as the ledger stores it; None if the picture is in the message.

    A URL is stored without its query, which may be a signature; `"query": "removed"` marks that it had one.
    """
    match source:
        case InlineBytes():
            return None
        case ImageUrl(url):
            removed = {"query": "removed"} if "?" in url else {}
            return {"kind": "url", "url": str(source), **removed}
        case LocalFile() | StoredObject():
            return _source_to_message(source)
        case _:
            assert_never(source)


def unrecorded_source(source: Source) -> Message | None:
    """Return the whole source if its record is not enough to read the picture, else None."""
    whole = _source_to_message(source)
    return None if whole == source_record(source) else whole


def recorded_source(record: Mapping[str, Any] | None) -> Source | None:
    """Return the source of a ledger's record; None if the record is not enough to read the picture."""
    if record is None or _source_problems(record):
        return None
    return _source_from_message(record)


def _source_to_message(source: Source) -> Message:
    return kind_of(source).to_message(source)


def _source_from_message(source: Mapping[str, Any]) -> Source:
    found: Source = _KINDS_BY_NAME[source["kind"]].from_message(source)
    return found


def _form_problems(message: Mapping[str, Any], positional: tuple[Any, ...]) -> list[str]:
    problems = ["positional arguments are not understood, pass keywords"] if positional else []
    problems += _unknown_fields(message, SUBMISSION_FIELDS, "")
    problems += [f"field {name!r} is missing" for name in ("id", "source") if name not in message]
    for name, schema in SUBMISSION_FIELDS.items():
        if name in message and "type" in schema:
            problems += _type_problems(name, schema["type"], message[name])
    return problems + (_source_problems(message["source"]) if "source" in message else [])


def _source_problems(source: object) -> list[str]:
    if not isinstance(source, Mapping):
        return [f"field 'source' must be an object, not {_kind(source)}"]
    kind = source.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS_BY_NAME:
        known = ", ".join(repr(name) for name in _KINDS_BY_NAME)
        return [f"field 'source.kind' must be one of {known}, not {str(kind)[:40]!r}"]
    fields = _KINDS_BY_NAME[kind].fields
    problems = _unknown_fields(source, ("kind", *fields), "source.")
    for name, schema in fields.items():
        if name not in source:
            problems.append(f"field 'source.{name}' is missing")
        else:
            problems += _type_problems(f"source.{name}", schema["type"], source[name])
    return problems


def _type_problems(name: str, types: str | Sequence[str], value: object) -> list[str]:
    """Check the type of a value; `types` is one type of JSON Schema or several."""
    allowed = [_TYPES[one] for one in ([types] if isinstance(types, str) else types)]
    if any(isinstance(value, python_type) for python_type, _ in allowed):
        return []
    return [f"field {name!r} must be {' or '.join(word for _, word in allowed)}, not {_kind(value)}"]


def _unknown_fields(found: Mapping[str, Any], known: Collection[str], prefix: str) -> list[str]:
    problems = []
    for name in sorted(str(name)[:80] for name in found if name not in known)[:5]:
        near = difflib.get_close_matches(name, known, 1)
        problems.append(f"unknown field {prefix + name!r}" + (f", did you mean {near[0]!r}?" if near else ""))
    return problems


def _time(seconds: object) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC) if isinstance(seconds, int | float) else None
    except (OverflowError, OSError, ValueError):
        return None


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", bool: "a Boolean", int: "a number", float: "a number"}
    return "null" if value is None else names.get(type(value), type(value).__name__)
