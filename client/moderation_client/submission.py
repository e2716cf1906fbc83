"""A submission, and its source: where its picture is.

Submission("upload-7", LocalFile("uploads/cat.jpg"), policy="default", reference="post-42")

The classes check their fields: InvalidSubmissionError names the one that is malformed.
"""

import hashlib
import json
import re
import secrets
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from os import PathLike
from typing import Any, Final

from moderation_client.callback import Callback, CeleryCallback, WebhookCallback
from moderation_client.errors import InvalidSubmissionError
from moderation_client.traceparent import traceparent_of
from moderation_client.url import Url, without_query

#: The producer's idempotency key; needs no escaping in log lines, URLs and file names.
SUBMISSION_ID_PATTERN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
POLICY_NAME_PATTERN: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}")
SHA256_PATTERN: Final = re.compile(r"[0-9a-f]{64}")
STORE_NAME_PATTERN: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}")
MAX_REFERENCE_CHARACTERS: Final = 512
#: A long caption; a model reads only the beginning, but words are looked for in all of it.
MAX_TEXT_CHARACTERS: Final = 2000
MAX_PATH_CHARACTERS: Final = 1024
#: A larger picture makes the broker the bottleneck: submit a path instead.
MAX_INLINE_BYTES: Final = 256 * 1024
#: The limit of S3.
MAX_KEY_BYTES: Final = 1024
MAX_CONTEXT_BYTES: Final = 8 * 1024
MAX_CONTEXT_DEPTH: Final = 16


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A picture on a disk that producer and worker share, as a path relative to the media root."""

    path: str

    def __post_init__(self) -> None:
        """Raise InvalidSubmissionError if the path can never name a file below the root."""
        field_name = "source.path"
        _require_text(self.path, "a path", field_name)
        if not 0 < len(self.path) <= MAX_PATH_CHARACTERS:
            raise InvalidSubmissionError(
                f"a path has 1 to {MAX_PATH_CHARACTERS} characters, not {len(self.path):,}", field=field_name
            )
        _refuse_unstorable(self.path, "a path", field_name)
        _refuse_control_characters(self.path, "a path", field_name)
        if problem := _problem_of_path(self.path):
            raise InvalidSubmissionError(
                f"the path {self.path[:80]!r} {problem}",
                hint="a path is relative to the media root: uploads/cat.jpg",
                field=field_name,
            )

    def __str__(self) -> str:
        return self.path


@dataclass(frozen=True, slots=True)
class InlineBytes:
    """A picture of at most 256 KiB that is sent inside the message."""

    data: bytes

    def __post_init__(self) -> None:
        """Raise InvalidSubmissionError if the picture is empty or too large for a message."""
        if not isinstance(self.data, bytes):
            raise InvalidSubmissionError(
                f"InlineBytes takes a picture's bytes, not {_kind(self.data)}", field="source"
            )
        if not self.data:
            raise InvalidSubmissionError("the picture is empty: 0 bytes", field="source.base64")
        if len(self.data) > MAX_INLINE_BYTES:
            raise InvalidSubmissionError(
                f"the picture has {len(self.data):,} bytes; at most {MAX_INLINE_BYTES:,} fit into a message",
                hint="store it under the media root and submit its path",
                field="source.base64",
            )

    def __str__(self) -> str:
        return f"{len(self.data):,} bytes sent with the message"


@dataclass(frozen=True, slots=True, repr=False)
class ImageUrl:
    """A URL that workers fetch if its host is allowed; the query may be a signature and is never shown."""

    url: str

    def __post_init__(self) -> None:
        """Raise InvalidSubmissionError unless the URL is http or https."""
        _require_text(self.url, "a URL", "source.url")
        try:
            Url.parse(self.url)
        except ValueError as problem:
            raise InvalidSubmissionError(str(problem), field="source.url") from None

    def __str__(self) -> str:
        return without_query(self.url)

    def __repr__(self) -> str:
        return f"ImageUrl({str(self)!r})"


@dataclass(frozen=True, slots=True)
class StoredObject:
    """A picture in an object store, by the name that the workers' operator gave the store."""

    store: str
    key: str

    def __post_init__(self) -> None:
        """Raise InvalidSubmissionError for an invalid name of a store, or a key that could leave its root."""
        _require_text(self.store, "the name of a store", "source.store")
        _require_text(self.key, "a key", "source.key")
        if not STORE_NAME_PATTERN.fullmatch(self.store):
            raise InvalidSubmissionError(
                f"{self.store[:80]!r} is not the name of a store",
                hint="workers know their stores by names of lower-case letters, digits, - and _",
                field="source.store",
            )
        _refuse_unstorable(self.key, "a key", "source.key")
        if not 0 < len(self.key.encode()) <= MAX_KEY_BYTES:
            raise InvalidSubmissionError(
                f"a key has 1 to {MAX_KEY_BYTES:,} bytes, not {len(self.key.encode()):,}", field="source.key"
            )
        _refuse_control_characters(self.key, "a key", "source.key")
        if {"", ".", ".."} & set(self.key.split("/")):
            raise InvalidSubmissionError(
                f"the key {self.key[:80]!r} has an empty part, . or ..",
                hint="a key is relative to its store: uploads/cat.jpg",
                field="source.key",
            )

    def __str__(self) -> str:
        return f"{self.key} in the store {self.store}"


Source = LocalFile | InlineBytes | ImageUrl | StoredObject


@dataclass(frozen=True, slots=True)
class Submission:
    """One uploaded picture, to be judged once under its policy."""

    #: The idempotency key: an id is judged once, however often it is sent; see `again`.
    id: str
    source: Source
    #: None is the default policy of the workers.
    policy: str | None = None
    #: Returned with the decision, such as the number of a post; at most 512 characters.
    reference: str = ""
    #: SHA-256 of the bytes in lower-case hexadecimal; checked before the picture is judged.
    sha256: str | None = None
    #: A JSON object that is returned with the decision; at most 8 KiB and 16 levels.
    context: dict[str, Any] | None = field(default=None, hash=False)
    #: Who is notified of the decision; None is the default webhook of the workers, if any.
    callback: Callback | None = None
    #: Judges a decided picture once more, by the policy as it is now. The value names this request: copies
    #: with the same value are one request.
    again: str | None = None
    #: What accompanies the picture, such as a caption, alt text or file name; at most 2,000 characters.
    text: str = ""
    #: The trace of its log lines and events, as a W3C traceparent.
    traceparent: str | None = field(default=None, compare=False)
    #: When it was accepted over HTTP or enqueued; None if unknown.
    sent_at: datetime | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        """Raise InvalidSubmissionError if a field is malformed."""
        _require_text(self.id, "a submission id", "id")
        if not SUBMISSION_ID_PATTERN.fullmatch(self.id):
            raise InvalidSubmissionError(
                f"{self.id[:140]!r} is not a submission id",
                hint="1 to 128 letters, digits and . _ : - , starting with a letter or digit",
                field="id",
            )
        _check_source(self.source)
        if self.policy is not None:
            _check_policy(self.policy)
        if self.again is not None:
            _check_again(self.again)
        _check_short(self.reference, "a reference", "reference", MAX_REFERENCE_CHARACTERS)
        _check_short(self.text, "a text", "text", MAX_TEXT_CHARACTERS)
        if self.sha256 is not None:
            _check_sha256(self.sha256, self.source)
        if self.context is not None:
            _check_context(self.context)
        if not isinstance(self.callback, WebhookCallback | CeleryCallback | None):
            raise InvalidSubmissionError(
                f"a callback is a WebhookCallback or a CeleryCallback, not {_kind(self.callback)}",
                field="callback",
            )
        if self.traceparent is not None and traceparent_of(self.traceparent) is None:
            raise InvalidSubmissionError(
                f"{str(self.traceparent)[:80]!r} is not a traceparent",
                hint="00-<32 digits>-<16 digits>-01, as W3C Trace Context defines it",
                field="traceparent",
            )


def _problem_of_path(path: str) -> str:
    parts = path.split("/")
    if not parts[0]:
        return "is absolute"
    if ".." in parts:
        return "climbs with '..'"
    return "names a folder" if parts[-1] in {"", "."} else ""


def _check_source(source: object) -> None:
    """Refuse a value that is not a source; the hint names the class that was probably meant."""
    if isinstance(source, Source):
        return
    if isinstance(source, str):
        meant = "ImageUrl(url)" if "://" in source else "LocalFile(path), below the workers' media root"
    elif isinstance(source, PathLike):
        meant = "LocalFile(path), with the path below the workers' media root as text"
    elif isinstance(source, bytes | bytearray | memoryview):
        meant = "InlineBytes(data)"
    else:
        meant = "LocalFile(path), ImageUrl(url), StoredObject(store, key) or InlineBytes(data)"
    raise InvalidSubmissionError(
        f"a source is an object of one of the source classes, not {_kind(source)}",
        hint=f"write {meant}",
        field="source",
    )


def _check_short(text: object, what: str, field_name: str, most: int) -> None:
    """Refuse what is not text, what has more than `most` characters, and what no database can store."""
    _require_text(text, what, field_name)
    if len(str(text)) > most:
        raise InvalidSubmissionError(
            f"{what} has at most {most:,} characters, not {len(str(text)):,}", field=field_name
        )
    _refuse_unstorable(str(text), what, field_name)


def _check_policy(policy: object) -> None:
    _require_text(policy, "a policy name", "policy")
    if not POLICY_NAME_PATTERN.fullmatch(str(policy)):
        raise InvalidSubmissionError(
            f"{str(policy)[:80]!r} is not a policy name",
            hint="a policy is named like its file: lower-case letters, digits, - and _",
            field="policy",
        )


def _check_again(again: object) -> None:
    _require_text(again, "a request for a second judgement", "again")
    if not SUBMISSION_ID_PATTERN.fullmatch(str(again)):
        raise InvalidSubmissionError(
            f"{str(again)[:140]!r} does not name a request for a second judgement",
            hint="1 to 128 letters, digits and . _ : - , starting with a letter or digit",
            field="again",
        )


def _check_sha256(sha256: object, source: Source) -> None:
    """Refuse a malformed digest, and one that does not match the inline bytes."""
    _require_text(sha256, "a SHA-256", "sha256")
    if not SHA256_PATTERN.fullmatch(str(sha256)):
        raise InvalidSubmissionError(
            f"{str(sha256)[:80]!r} is not a SHA-256 in lower-case hexadecimal", field="sha256"
        )
    if isinstance(source, InlineBytes) and sha256 != (found := hashlib.sha256(source.data).hexdigest()):
        raise InvalidSubmissionError(
            f"the picture has the SHA-256 {found}, not the one promised", field="sha256"
        )


def _check_context(context: object) -> None:
    """Refuse a context that any of the databases would not return unchanged."""
    if not isinstance(context, dict) or not _is_plain_json(context):
        raise InvalidSubmissionError(
            "a context is an object of plain JSON",
            hint="keys and texts without NUL, finite numbers, true, false, null, lists and objects",
            field="context",
        )
    size = len(json.dumps(context, ensure_ascii=False).encode())
    if size > MAX_CONTEXT_BYTES:
        raise InvalidSubmissionError(
            f"a context has at most {MAX_CONTEXT_BYTES:,} bytes as JSON, not {size:,}",
            hint="keep it on your side and find it by the reference",
            field="context",
        )


def _is_plain_json(context: object) -> bool:
    try:
        texts = list(_texts(context, MAX_CONTEXT_DEPTH))
        if any("\0" in text for text in texts):
            return False
        "".join(texts).encode()  # raises for a lone surrogate
        return bool(json.loads(json.dumps(context, allow_nan=False)) == context)
    except (TypeError, ValueError):
        return False


def _texts(value: object, depth: int) -> Iterator[str]:
    """Yield every text in a JSON value; ValueError if it is nested deeper than `depth`."""
    if depth < 0:
        raise ValueError("nested too deep")
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(key, depth)
            yield from _texts(inner, depth - 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, depth - 1)


def _require_text(value: object, what: str, field_name: str) -> None:
    if not isinstance(value, str):
        hint = "write str(...) around it" if isinstance(value, int | PathLike) else ""
        raise InvalidSubmissionError(f"{what} is text, not {_kind(value)}", hint=hint, field=field_name)


def _kind(value: object) -> str:
    return "None" if value is None else f"a value of the type {type(value).__name__}"


def _refuse_unstorable(text: str, what: str, field_name: str) -> None:
    """Refuse text that not every database can store: NUL and lone surrogates."""
    if "\0" in text:
        raise InvalidSubmissionError(f"{what} cannot contain a NUL character", field=field_name)
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidSubmissionError(
            f"{what} must be valid Unicode text, {text[:80]!r} is not", field=field_name
        )


def _refuse_control_characters(text: str, what: str, field_name: str) -> None:
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise InvalidSubmissionError(
            f"{what} cannot contain control characters, as {text[:80]!r} does", field=field_name
        )


def new_submission_id() -> str:
    """Return a random submission id: 128 bits in hexadecimal."""
    return secrets.token_hex(16)
