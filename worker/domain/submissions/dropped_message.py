"""A message that no worker can work on: why it was dropped, and as much of it as may be kept."""

import base64
import json
import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Self

#: Characters of a message that are kept.
EXCERPT_CHARACTERS: Final = 1000
_PROBLEM_CHARACTERS: Final = 300
#: A URL's query may be a signature, and what stands before its host a password.
_QUERY: Final = re.compile(r"\?[^\s\"'<>\\]+")
_LOGIN: Final = re.compile(r"//[^/@\s\"']*@")
#: Longer runs are pictures, not words.
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]{200,}={0,2}")


class DropReason(StrEnum):
    """Why a message was dropped."""

    #: The text on the queue is not a message of Celery's.
    NOT_A_MESSAGE = "not_a_message"
    #: The message cannot be read as a call of a task.
    NOT_A_TASK = "not_a_task"
    UNKNOWN_TASK = "unknown_task"
    #: The content type is not JSON.
    CONTENT_TYPE = "content_type"
    #: The call of our task has no id under which the ledger could refuse it.
    NO_ID = "no_id"
    #: The producer's own `expires` was over.
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class DroppedMessage:
    """A message that was dropped, in bounded size."""

    reason: DropReason
    problem: str
    #: The beginning of its text, without the queries and logins of URLs.
    excerpt: str
    size_bytes: int
    #: By the database's clock; None until it is kept.
    dropped_at: datetime | None = None

    @classmethod
    def of(cls, reason: DropReason, problem: str, raw: object) -> Self:
        """Keep what may be kept of a message; `raw` is its text, or anything that stood in place of one."""
        if not isinstance(raw, bytes | str):
            raw = json.dumps(raw, default=repr)
        data = raw.encode(errors="replace") if isinstance(raw, str) else raw
        return cls(reason, _plain(problem)[:_PROBLEM_CHARACTERS], _excerpt(data), len(data))


def _excerpt(data: bytes) -> str:
    # The beginning alone is looked at: a message may have 50 MB.
    text = _plain(_body(data[: 64 * EXCERPT_CHARACTERS]).decode(errors="replace"))
    text = _BASE64.sub("...", text)
    return _LOGIN.sub("//", _QUERY.sub("?...", text))[:EXCERPT_CHARACTERS]


def _body(data: bytes) -> bytes:
    """Return the body of Celery's envelope, which is base64; anything else as it is."""
    try:
        match json.loads(data):
            case {"body": str(body), "properties": {"body_encoding": "base64"}}:
                return base64.b64decode(body, validate=True)
    except (ValueError, RecursionError):
        pass
    return data


def _plain(text: str) -> str:
    # PostgreSQL keeps no NUL.
    return text.replace("\0", "").encode(errors="replace").decode()
