"""The fields of a submission and the kinds of its source, as JSON Schema.

Messages are read and written by these tables, and the HTTP API builds its OpenAPI from them:

    kind_of(LocalFile("uploads/cat.jpg")).to_message(LocalFile("uploads/cat.jpg"))
    # {"kind": "file", "path": "uploads/cat.jpg"}

The classes check their values themselves; the schemas state what JSON Schema can express of it.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from moderation_client.callback import CELERY_NAME_PATTERN
from moderation_client.errors import InvalidSubmissionError
from moderation_client.submission import (
    MAX_INLINE_BYTES,
    MAX_KEY_BYTES,
    MAX_PATH_CHARACTERS,
    MAX_REFERENCE_CHARACTERS,
    MAX_TEXT_CHARACTERS,
    POLICY_NAME_PATTERN,
    SHA256_PATTERN,
    STORE_NAME_PATTERN,
    SUBMISSION_ID_PATTERN,
    ImageUrl,
    InlineBytes,
    LocalFile,
    Source,
    StoredObject,
)
from moderation_client.url import MAX_URL_CHARACTERS

Schema = dict[str, Any]

_URL: Final = {"type": "string", "format": "uri", "maxLength": MAX_URL_CHARACTERS}
_CELERY_NAME: Final = {"type": "string", "pattern": f"^{CELERY_NAME_PATTERN.pattern}$"}


S = TypeVar("S", bound=Source)


@dataclass(frozen=True, slots=True)
class SourceKind(Generic[S]):
    """A kind of source: its name in messages, its class, and its fields beside `kind`."""

    name: str
    source_class: type[S]
    #: As JSON Schema. All are required texts with the names of the attributes of the class.
    fields: Mapping[str, Schema]
    #: Whether the picture itself is in the message.
    is_inline: bool = False

    @property
    def schema(self) -> Schema:
        """The source as JSON Schema."""
        properties = {"kind": {"const": self.name}, **self.fields}
        return _object(self.name, properties)

    def to_message(self, source: S) -> dict[str, str]:
        """Return a source as messages carry it."""
        return {"kind": self.name, **{name: getattr(source, name) for name in self.fields}}

    def from_message(self, message: Mapping[str, Any]) -> S:
        """Return the source in a message that has all fields; InvalidSubmissionError if one is malformed."""
        return self.source_class(**{name: message[name] for name in self.fields})


class _InlineBytesKind(SourceKind[InlineBytes]):
    """Bytes, as base64 in JSON."""

    __slots__ = ()

    def to_message(self, source: InlineBytes) -> dict[str, str]:
        return {"kind": self.name, "base64": base64.b64encode(source.data).decode("ascii")}

    def from_message(self, message: Mapping[str, Any]) -> InlineBytes:
        try:
            return InlineBytes(base64.b64decode(message["base64"], validate=True))
        except ValueError:
            raise InvalidSubmissionError("field 'source.base64' is not base64") from None


def kind_of(source: Source) -> SourceKind[Any]:
    """Return the kind of a source."""
    return next(kind for kind in SOURCE_KINDS if isinstance(source, kind.source_class))


def _object(title: str, properties: Mapping[str, Schema]) -> Schema:
    return {
        "type": "object",
        "title": title,
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


SOURCE_KINDS: Final[tuple[SourceKind[Any], ...]] = (
    SourceKind(
        "file", LocalFile, {"path": {"type": "string", "minLength": 1, "maxLength": MAX_PATH_CHARACTERS}}
    ),
    _InlineBytesKind(
        "bytes",
        InlineBytes,
        {
            "base64": {
                "type": "string",
                "contentEncoding": "base64",
                "minLength": 4,
                "maxLength": (MAX_INLINE_BYTES + 2) // 3 * 4,
            }
        },
        is_inline=True,
    ),
    SourceKind("url", ImageUrl, {"url": _URL}),
    SourceKind(
        "object",
        StoredObject,
        {
            "store": {"type": "string", "pattern": f"^{STORE_NAME_PATTERN.pattern}$"},
            "key": {"type": "string", "minLength": 1, "maxLength": MAX_KEY_BYTES},
        },
    ),
)


#: By name, in the order of the documentation.
SUBMISSION_FIELDS: Final[Mapping[str, Schema]] = {
    "id": {
        "type": "string",
        "pattern": f"^{SUBMISSION_ID_PATTERN.pattern}$",
        "description": "Your idempotency key: the same id is accepted once. A random one if left out.",
    },
    "source": {
        "description": "Where the picture is.",
        # References first: a path costs the broker less than a picture.
        "oneOf": [kind.schema for kind in sorted(SOURCE_KINDS, key=lambda kind: kind.is_inline)],
    },
    "policy": {
        "type": ["string", "null"],
        "pattern": f"^{POLICY_NAME_PATTERN.pattern}$",
        "description": "The policy to judge by; the workers' default if left out.",
    },
    "reference": {
        "type": ["string", "null"],
        "maxLength": MAX_REFERENCE_CHARACTERS,
        "description": "Returned with the decision, for you to find it again.",
    },
    "sha256": {
        "type": ["string", "null"],
        "pattern": f"^{SHA256_PATTERN.pattern}$",
        "description": "Of the picture's bytes; checked before it is judged. It also identifies the "
        "picture if a submission is repeated: send it if your URLs are signed anew each time.",
    },
    "context": {
        "type": ["object", "null"],
        "description": "Returned with the decision; up to 8 KiB.",
    },
    "callback": {
        "description": "Who is notified of the decision, if the service allows it: a URL gets a signed "
        "webhook, a task of the platform's Celery is called. If left out, the service's default webhook, if "
        "any. It is not part of the submission's identity: of one sent twice, the first callback counts.",
        "oneOf": [
            _object("webhook", {"url": _URL}),
            _object("celery", {"task": _CELERY_NAME, "queue": _CELERY_NAME}),
            {"type": "null"},
        ],
    },
    "again": {
        "type": ["string", "null"],
        "pattern": f"^{SUBMISSION_ID_PATTERN.pattern}$",
        "description": "Judges a decided submission once more, by its policy as it is now. The value "
        "names this request: sent twice with the same name, it is one request.",
    },
    "text": {
        "type": ["string", "null"],
        "maxLength": MAX_TEXT_CHARACTERS,
        "description": "What accompanies the picture, such as a caption, alt text or the file's name. If the "
        "policy says `text`, it can raise a score, never lower one. It is part of the submission's identity.",
    },
}
