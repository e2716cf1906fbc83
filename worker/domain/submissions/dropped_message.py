"""A message that no worker can process: why it was dropped, and an excerpt without secrets."""

import base64
import json
import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Self

#: Length of an excerpt.
EXCERPT_CHARACTERS: Final = 1000
_PROBLEM_CHARACTERS: Final = 300
#: A URL's query may be a signature, and its login a password.
_QUERY: Final = re.compile(r"\?[^\s\"'<>\\]+")
_LOGIN: Final = re.compile(r"//[^/@\s\"']*@")
#: Runs of this length are pictures, not words.
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]{200,}={0,2}")


class DropReason(StrEnum):
    """Why a message was dropped."""

    #: The text on the queue is not a Celery message.
    NOT_A_MESSAGE = "not_a_message"
    #: The message is not the call of a task.
    NOT_A_TASK = "not_a_task"
    UNKNOWN_TASK = "unknown_task"
    #: The content type is not JSON.
    CONTENT_TYPE = "content_type"
    #: The call of our task has no id, so that the ledger cannot record its refusal.
    NO_ID = "no_id"
    #: The `expires` of the producer has passed.
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class DroppedMessage:
    """A dropped message, limited in size."""

    reason: DropReason
    problem: str
    #: The beginning of the text, without queries and logins of URLs.
    excerpt: str
    size_bytes: int
    #: By the database's clock; None until it is stored.
    dropped_at: datetime | None = None

    @classmethod
    def of(cls, reason: DropReason, problem: str, raw: object) -> Self:
        """Build the record of a message; `raw` is its text, or any value in its place."""
        if not isinstance(raw, bytes | str):
            raw = json.dumps(raw, default=repr)
        data = raw.encode(errors="replace") if isinstance(raw, str) else raw
        return cls(reason, _plain(problem)[:_PROBLEM_CHARACTERS], _excerpt(data), len(data))


def _excerpt(data: bytes) -> str:
    # Only the beginning is parsed: a message may have 50 MB.
    text = _plain(_body(data[: 64 * EXCERPT_CHARACTERS]).decode(errors="replace"))
    text = _BASE64.sub("...", text)
    return _LOGIN.sub("//", _QUERY.sub("?...", text))[:EXCERPT_CHARACTERS]


def _body(data: bytes) -> bytes:
    """Decode the base64 body of Celery's envelope; return anything else unchanged."""
    try:
        match json.loads(data):
            case {"body": str(body), "properties": {"body_encoding": "base64"}}:
                return base64.b64decode(body, validate=True)
    except (ValueError, RecursionError):
        pass
    return data


def _plain(text: str) -> str:
    # PostgreSQL cannot store NUL.
    return text.replace("\0", "").encode(errors="replace").decode()
