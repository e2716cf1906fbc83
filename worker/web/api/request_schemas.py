"""OpenAPI schemas of request bodies; `moderation_client/messages.py` and `web/api/upload.py` parse them."""

from typing import Final

from moderation_client.submission_fields import SUBMISSION_FIELDS, Schema

MAX_BATCH: Final = 256

#: The fields of a form with the picture itself, in place of a source.
FORM_FIELDS: Final = tuple(name for name in SUBMISSION_FIELDS if name != "source")
#: Fields of a form that are JSON inside it, since a form has only text.
JSON_FORM_FIELDS: Final = tuple(
    name for name in FORM_FIELDS if "string" not in SUBMISSION_FIELDS[name].get("type", ())
)


def _form_field(name: str) -> Schema:
    if name not in JSON_FORM_FIELDS:
        return {**SUBMISSION_FIELDS[name], "type": "string"}
    what = "A JSON object, up to 8 KiB." if name == "context" else f"As JSON, the `{name}` of a submission."
    return {"type": "string", "description": what}


SUBMISSION: Final[Schema] = {
    "type": "object",
    "properties": dict(SUBMISSION_FIELDS),
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
        **{name: _form_field(name) for name in FORM_FIELDS},
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
