"""A callback: where the platform wants to hear of a decision, by a signed request or a Celery task."""

import re
from dataclasses import dataclass
from typing import Any, Final

from moderation_client.errors import InvalidSubmissionError
from moderation_client.url import Url, without_query

#: What names a task or a queue of the platform's own.
CELERY_NAME_PATTERN: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,254}")
#: A callback that named our own tasks would have workers work for whoever enqueues.
_OUR_TASKS: Final = "moderation."


@dataclass(frozen=True, slots=True, repr=False)
class WebhookCallback:
    """An address to which the event is posted; its query can be a secret and is never shown."""

    url: str

    def __post_init__(self) -> None:
        """Refuse what is not plainly an http or https URL."""
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
        """Who answers, and may keep others waiting: host and port."""
        return Url.parse(self.url).authority


@dataclass(frozen=True, slots=True)
class CeleryCallback:
    """A task of the platform's own that is called with the event, through a queue of the platform's own."""

    task: str
    queue: str

    def __post_init__(self) -> None:
        """Refuse what is no name, and our own tasks."""
        names: list[tuple[str, object]] = [("task", self.task), ("queue", self.queue)]
        for what, name in names:
            if not CELERY_NAME_PATTERN.fullmatch(name if isinstance(name, str) else ""):
                raise InvalidSubmissionError(
                    f"callback: {str(name)[:80]!r} is not the name of a {what}",
                    hint="1 to 255 letters, digits and _ . : / -",
                    field=f"callback.{what}",
                )
        if self.task.startswith(_OUR_TASKS):
            raise InvalidSubmissionError(f"callback: the task {self.task!r} is not the platform's own")

    def __str__(self) -> str:
        return f"the task {self.task} on the queue {self.queue}"

    @property
    def receiver(self) -> str:
        """Who answers, and may keep others waiting: the one broker."""
        return "celery"


Callback = WebhookCallback | CeleryCallback


def callback_record(callback: Callback | None) -> dict[str, Any] | None:
    """Return a callback as messages and the database hold it: `{"url"}`, or `{"task", "queue"}`."""
    match callback:
        case None:
            return None
        case WebhookCallback(url):
            return {"url": url}
        case CeleryCallback(task, queue):
            return {"task": task, "queue": queue}


def callback_of(record: object) -> Callback | None:
    """Return the callback that a record means; InvalidSubmissionError where it is none."""
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
    """Return who answers where a record's callback is sent; `nobody` where it is none."""
    try:
        callback = callback_of(record)
    except InvalidSubmissionError:
        callback = None
    return callback.receiver if callback else "nobody"
