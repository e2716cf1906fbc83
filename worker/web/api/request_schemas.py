"""OpenAPI schemas of request bodies; `moderation_client/messages.py` and `web/api/upload.py` parse them."""

from typing import Any, Final

from moderation_client.callback import CELERY_NAME_PATTERN
from moderation_client.submission import (
    MAX_INLINE_BYTES,
    MAX_KEY_BYTES,
    MAX_PATH_CHARACTERS,
    MAX_REFERENCE_CHARACTERS,
    POLICY_NAME_PATTERN,
    SHA256_PATTERN,
    STORE_NAME_PATTERN,
    SUBMISSION_ID_PATTERN,
)
from moderation_client.url import MAX_URL_CHARACTERS

Schema = dict[str, Any]

MAX_BATCH: Final = 256

_ID: Final = {
    "type": "string",
    "pattern": f"^{SUBMISSION_ID_PATTERN.pattern}$",
    "description": "Your idempotency key: the same id is accepted once. A random one if left out.",
}
_POLICY: Final = {
    "type": ["string", "null"],
    "pattern": f"^{POLICY_NAME_PATTERN.pattern}$",
    "description": "The policy to judge by; the workers' default if left out.",
}
_REFERENCE: Final = {
    "type": ["string", "null"],
    "maxLength": MAX_REFERENCE_CHARACTERS,
    "description": "Returned with the decision, for you to find it again.",
}
_SHA256: Final = {
    "type": ["string", "null"],
    "pattern": f"^{SHA256_PATTERN.pattern}$",
    "description": "Of the picture's bytes; checked before it is judged. It also identifies the picture if a "
    "submission is repeated: send it if your URLs are signed anew each time.",
}
_CELERY_NAME: Final = {"type": "string", "pattern": f"^{CELERY_NAME_PATTERN.pattern}$"}
_CONTEXT: Final = {
    "type": ["object", "null"],
    "description": "Returned with the decision; up to 8 KiB.",
}
_CALLBACK: Final = {
    "description": "Who is notified of the decision, if the service allows it: a URL gets a signed webhook, "
    "a task of the platform's Celery is called. If left out, the service's default webhook, if any. "
    "It is not part of the submission's identity: of one sent twice, the first callback counts.",
    "oneOf": [
        {
            "type": "object",
            "title": "webhook",
            "properties": {"url": {"type": "string", "format": "uri", "maxLength": MAX_URL_CHARACTERS}},
            "required": ["url"],
            "additionalProperties": False,
        },
        {
            "type": "object",
            "title": "celery",
            "properties": {"task": _CELERY_NAME, "queue": _CELERY_NAME},
            "required": ["task", "queue"],
            "additionalProperties": False,
        },
        {"type": "null"},
    ],
}

_AGAIN: Final = {
    "type": ["string", "null"],
    "pattern": f"^{SUBMISSION_ID_PATTERN.pattern}$",
    "description": "Judges a decided submission once more, by its policy as it is now. The value names this "
    "request: sent twice with the same name, it is one request.",
}


def _source(kind: str, **fields: Schema) -> Schema:
    return {
        "type": "object",
        "title": kind,
        "properties": {"kind": {"const": kind}, **fields},
        "required": ["kind", *fields],
        "additionalProperties": False,
    }


_SOURCE: Final = {
    "description": "Where the picture is.",
    "oneOf": [
        _source("file", path={"type": "string", "minLength": 1, "maxLength": MAX_PATH_CHARACTERS}),
        _source("url", url={"type": "string", "format": "uri", "maxLength": MAX_URL_CHARACTERS}),
        _source(
            "object",
            store={"type": "string", "pattern": f"^{STORE_NAME_PATTERN.pattern}$"},
            key={"type": "string", "minLength": 1, "maxLength": MAX_KEY_BYTES},
        ),
        _source(
            "bytes",
            base64={
                "type": "string",
                "contentEncoding": "base64",
                "minLength": 4,
                "maxLength": (MAX_INLINE_BYTES + 2) // 3 * 4,
            },
        ),
    ],
}

SUBMISSION: Final[Schema] = {
    "type": "object",
    "properties": {
        "id": _ID,
        "source": _SOURCE,
        "policy": _POLICY,
        "reference": _REFERENCE,
        "sha256": _SHA256,
        "context": _CONTEXT,
        "callback": _CALLBACK,
        "again": _AGAIN,
    },
    "required": ["source"],
    "additionalProperties": False,
    "examples": [
        {
            "id": "upload-7",
            "source": {"kind": "url", "url": "https://cdn.example.com/cat.jpg?signature=5ec7e7"},
            "policy": "default",
            "reference": "post-42",
            "context": {"author": 7},
            "callback": {"url": "https://platform.example/moderated"},
        }
    ],
}
BATCH: Final[Schema] = {
    "type": "object",
    "properties": {
        "submissions": {
            "type": "array",
            "items": {"$ref": "#/components/schemas/Submission"},
            "minItems": 1,
            "maxItems": MAX_BATCH,
        }
    },
    "required": ["submissions"],
    "additionalProperties": False,
    "examples": [{"submissions": [{"source": {"kind": "file", "path": "uploads/cat.jpg"}}]}],
}
UPLOAD: Final[Schema] = {
    "type": "object",
    "properties": {
        "picture": {
            "type": "string",
            "contentMediaType": "application/octet-stream",
            "format": "binary",
            "minLength": 1,
        },
        "id": _ID,
        "policy": {**_POLICY, "type": "string"},
        "reference": {**_REFERENCE, "type": "string"},
        "sha256": {**_SHA256, "type": "string"},
        "context": {"type": "string", "description": "A JSON object, up to 8 KiB."},
        "callback": {"type": "string", "description": "As JSON, the `callback` of a submission."},
        "again": {**_AGAIN, "type": "string"},
    },
    "required": ["picture"],
    "additionalProperties": False,
}

#: By their names in OpenAPI.
COMPONENTS: Final = {"Submission": SUBMISSION, "Batch": BATCH, "Upload": UPLOAD}


def body(**schemas: str) -> Schema:
    """Return a route's OpenAPI request body: the component for each media type, `json` or `form`."""
    kinds = {"json": "application/json", "form": "multipart/form-data"}
    content = {
        kinds[kind]: {"schema": {"$ref": f"#/components/schemas/{name}"}} for kind, name in schemas.items()
    }
    return {"requestBody": {"required": True, "content": content}}
