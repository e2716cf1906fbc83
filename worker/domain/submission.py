"""What a platform hands over: a submission, and the source that says where its picture is."""

import json
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from worker.domain.callback import Callback
from worker.domain.traceparent import traceparent_of
from worker.domain.url import Url, without_query
from worker.errors import InvalidSubmissionError

#: The producer's idempotency key: what a log line, a URL and a file name can carry unescaped.
SUBMISSION_ID_PATTERN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
POLICY_NAME_PATTERN: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}")
SHA256_PATTERN: Final = re.compile(r"[0-9a-f]{64}")
STORE_NAME_PATTERN: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}")
MAX_REFERENCE_CHARACTERS: Final = 512
MAX_PATH_CHARACTERS: Final = 1024
#: A larger picture makes the broker the bottleneck: pass a path instead.
MAX_INLINE_BYTES: Final = 256 * 1024
#: What S3 allows.
MAX_KEY_BYTES: Final = 1024
MAX_CONTEXT_BYTES: Final = 8 * 1024
MAX_CONTEXT_DEPTH: Final = 16


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A picture on a disk that producer and worker share, as a path relative to the media root."""

    path: str

    def __post_init__(self) -> None:
        """Refuse what can never name a file under the root."""
        if not 0 < len(self.path) <= MAX_PATH_CHARACTERS:
            raise InvalidSubmissionError(
                f"a path has 1 to {MAX_PATH_CHARACTERS} characters, not {len(self.path)}"
            )
        _refuse_unstorable(self.path, "a path")

    def __str__(self) -> str:
        return self.path


@dataclass(frozen=True, slots=True)
class InlineBytes:
    """A small picture that travels inside the message."""

    data: bytes

    def __post_init__(self) -> None:
        """Refuse nothing at all, and what is too much for a message."""
        if not self.data:
            raise InvalidSubmissionError("the picture is empty: 0 bytes")
        if len(self.data) > MAX_INLINE_BYTES:
            raise InvalidSubmissionError(
                f"the picture has {len(self.data):,} bytes; at most {MAX_INLINE_BYTES:,} fit into a message",
                hint="store it under the media root and submit its path",
            )

    def __str__(self) -> str:
        return f"{len(self.data):,} bytes sent with the message"


@dataclass(frozen=True, slots=True, repr=False)
class ImageUrl:
    """A picture that workers fetch where they may; its query can be a signature and is never shown."""

    url: str

    def __post_init__(self) -> None:
        """Refuse what is not plainly an http or https URL."""
        try:
            Url.parse(self.url)
        except ValueError as problem:
            raise InvalidSubmissionError(str(problem)) from None

    def __str__(self) -> str:
        return without_query(self.url)

    def __repr__(self) -> str:
        return f"ImageUrl({str(self)!r})"


@dataclass(frozen=True, slots=True)
class StoredObject:
    """A picture in an object store that the workers' operator configured by name."""

    store: str
    key: str

    def __post_init__(self) -> None:
        """Refuse what is no name of a store, and keys that could mean something outside its root."""
        if not STORE_NAME_PATTERN.fullmatch(self.store):
            raise InvalidSubmissionError(
                f"{self.store[:80]!r} is not the name of a store",
                hint="workers know their stores by names of lower-case letters, digits, - and _",
            )
        _refuse_unstorable(self.key, "a key")
        if not 0 < len(self.key.encode()) <= MAX_KEY_BYTES:
            raise InvalidSubmissionError(
                f"a key has 1 to {MAX_KEY_BYTES:,} bytes, not {len(self.key.encode()):,}"
            )
        if any(ord(character) < 32 or character == "\x7f" for character in self.key):
            raise InvalidSubmissionError(f"the key {self.key[:80]!r} has control characters")
        if {"", ".", ".."} & set(self.key.split("/")):
            raise InvalidSubmissionError(
                f"the key {self.key[:80]!r} has an empty part, . or ..",
                hint="a key is relative to its store: uploads/cat.jpg",
            )

    def __str__(self) -> str:
        return f"{self.key} in the store {self.store}"


Source = LocalFile | InlineBytes | ImageUrl | StoredObject


@dataclass(frozen=True, slots=True)
class Submission:
    """One uploaded picture to be judged once under the policy in force."""

    #: The idempotency key: the same id is decided once per policy version, however often it arrives.
    id: str
    source: Source
    #: None leaves the choice to the worker's default policy.
    policy: str | None = None
    #: Whatever the platform wants to find again beside the decision, such as its own post's number.
    reference: str = ""
    #: Promised digest of the bytes, lower-case hexadecimal; checked before anything is judged.
    sha256: str | None = None
    #: A small JSON object that the platform wants back beside the decision.
    context: dict[str, Any] | None = field(default=None, hash=False)
    #: Where the platform wants to hear of the decision; None leaves it to the workers' settings.
    callback: Callback | None = None
    #: The trace that it belongs to, as W3C writes it; goes into log lines and events.
    traceparent: str | None = field(default=None, compare=False)
    #: When it was accepted over HTTP or put on the queue; None if that is unknown.
    sent_at: datetime | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        """Check every field, so that no submission that exists is malformed."""
        if not SUBMISSION_ID_PATTERN.fullmatch(self.id):
            raise InvalidSubmissionError(
                f"{self.id[:140]!r} is not a submission id",
                hint="1 to 128 letters, digits and . _ : - , starting with a letter or digit",
            )
        if self.policy is not None and not POLICY_NAME_PATTERN.fullmatch(self.policy):
            raise InvalidSubmissionError(
                f"{self.policy[:80]!r} is not a policy name",
                hint="a policy is named like its file: lower-case letters, digits, - and _",
            )
        if len(self.reference) > MAX_REFERENCE_CHARACTERS:
            raise InvalidSubmissionError(
                f"a reference has at most {MAX_REFERENCE_CHARACTERS} characters, not {len(self.reference):,}"
            )
        _refuse_unstorable(self.reference, "a reference")
        if self.sha256 is not None and not SHA256_PATTERN.fullmatch(self.sha256):
            raise InvalidSubmissionError(f"{self.sha256[:80]!r} is not a SHA-256 in lower-case hexadecimal")
        if self.context is not None:
            _check_context(self.context)
        if self.traceparent is not None and traceparent_of(self.traceparent) is None:
            raise InvalidSubmissionError(
                f"{self.traceparent[:80]!r} is not a traceparent",
                hint="00-<32 digits>-<16 digits>-01, as W3C says",
            )


def _check_context(context: object) -> None:
    """Refuse what would not come back as it was given, from any database."""
    if not isinstance(context, dict) or not _is_plain_json(context):
        raise InvalidSubmissionError(
            "a context is an object of plain JSON",
            hint="keys and texts without NUL, finite numbers, true, false, null, lists and objects",
        )
    size = len(json.dumps(context, ensure_ascii=False).encode())
    if size > MAX_CONTEXT_BYTES:
        raise InvalidSubmissionError(
            f"a context has at most {MAX_CONTEXT_BYTES:,} bytes as JSON, not {size:,}",
            hint="keep it on your side and find it by the reference",
        )


def _is_plain_json(context: object) -> bool:
    try:
        texts = list(_texts(context, MAX_CONTEXT_DEPTH))
        if any("\0" in text for text in texts):
            return False
        "".join(texts).encode()  # no half of a character
        return bool(json.loads(json.dumps(context, allow_nan=False)) == context)
    except (TypeError, ValueError):
        return False


def _texts(value: object, depth: int) -> Iterator[str]:
    """Yield every text in a JSON value; ValueError where it is nested deeper than `depth`."""
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


def _refuse_unstorable(text: str, what: str) -> None:
    """Refuse what no database keeps: NUL, and halves of characters (lone surrogates)."""
    if "\0" in text:
        raise InvalidSubmissionError(f"{what} cannot contain a NUL character")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidSubmissionError(f"{what} must be valid Unicode text, {text[:80]!r} is not")


def new_submission_id() -> str:
    """Return an id for a producer that has no key of its own: 128 random bits in hexadecimal."""
    return secrets.token_hex(16)
