"""A callback: the webhook or the Celery task that is notified of a decision.

WebhookCallback("https://platform.example/moderated")
CeleryCallback(task="platform.moderated", queue="platform")
"""

import re
from dataclasses import dataclass
from typing import Any, Final

from moderation_client.errors import InvalidSubmissionError
from moderation_client.url import Url, without_query

#: The name of a task or a queue of the platform.
CELERY_NAME_PATTERN: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,254}")
#: The prefix of this service's tasks; producers must not have workers call them.
_OUR_TASKS: Final = "moderation."


@dataclass(frozen=True, slots=True, repr=False)
class WebhookCallback:
    """A URL that the event is posted to; its query may be a secret and is never shown."""

    url: str

    def __post_init__(self) -> None:
        """Raise InvalidSubmissionError unless the URL is http or https."""
        if not isinstance(self.url, str):
            raise InvalidSubmissionError("callback: a URL is text", field="callback.url")
        try:
            Url.parse(self.url)
        except ValueError as problem:
            raise InvalidSubmissionError(f"callback: {problem}", field="callback.url") from None

    def __str__(self) -> str:
        return without_query(self.url)

    def __repr__(self) -> str:
        return f"WebhookCallback({str(self)!r})"

    @property
    def receiver(self) -> str:
        """Host and port: deliveries are limited for each receiver."""
        return Url.parse(self.url).authority


@dataclass(frozen=True, slots=True)
class CeleryCallback:
    """A Celery task of the platform that is called with the event, on a queue of the platform."""

    task: str
    queue: str

    def __post_init__(self) -> None:
        """Raise InvalidSubmissionError for invalid names and for the tasks of this service."""
        names: list[tuple[str, object]] = [("task", self.task), ("queue", self.queue)]
        for what, name in names:
            if not CELERY_NAME_PATTERN.fullmatch(name if isinstance(name, str) else ""):
                raise InvalidSubmissionError(
                    f"callback: {str(name)[:80]!r} is not the name of a {what}",
                    hint="1 to 255 letters, digits and _ . : / -",
                    field=f"callback.{what}",
                )
        if self.task.startswith(_OUR_TASKS):
            raise InvalidSubmissionError(f"callback: the task {self.task!r} belongs to this service")

    def __str__(self) -> str:
        return f"the task {self.task} on the queue {self.queue}"

    @property
    def receiver(self) -> str:
        """The same for all tasks: they share one broker."""
        return "celery"


Callback = WebhookCallback | CeleryCallback


def callback_record(callback: Callback | None) -> dict[str, Any] | None:
    """Return a callback as messages and the database store it: `{"url"}` or `{"task", "queue"}`."""
    match callback:
        case None:
            return None
        case WebhookCallback(url):
            return {"url": url}
        case CeleryCallback(task, queue):
            return {"task": task, "queue": queue}


def callback_of(record: object) -> Callback | None:
    """Parse a record of a callback; InvalidSubmissionError if it is malformed."""
    match record:
        case None:
            return None
        case {"url": str(url), **others} if not others:
            return WebhookCallback(url)
        case {"task": str(task), "queue": str(queue), **others} if not others:
            return CeleryCallback(task, queue)
    raise InvalidSubmissionError(
        "field 'callback' must be null, an object with 'url', or one with 'task' and 'queue'"
    )


def receiver_of(record: object) -> str:
    """Return the receiver of a callback's record; "nobody" if there is no valid callback."""
    try:
        callback = callback_of(record)
    except InvalidSubmissionError:
        callback = None
    return callback.receiver if callback else "nobody"
