"""How a process of ours logs: for people or machines, with the submission at work, never a URL's query."""

import json
import logging
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final

from worker.domain.submission import SUBMISSION_ID_PATTERN
from worker.domain.url import without_queries
from worker.settings import Settings

_TRACEBACKS: Final = logging.Formatter()
#: Nothing that people write, but a picture inside a message that Celery shows.
_PICTURE: Final = re.compile(r"[A-Za-z0-9+/]{512,}={0,2}")
#: A password in a URL, a password's hash, a webhook's secret.
_SECRET: Final = re.compile(
    r"(?<=://)[^\s/?#@\"'<>]*:[^\s/?#@\"'<>]*(?=@)|\$argon2[^\s'\"]+|whsec_[A-Za-z0-9+/=_-]+"
)
#: The submission that this thread works on; None where it works on none.
_submission: ContextVar[str | None] = ContextVar("submission", default=None)


@contextmanager
def about(submission_id: object) -> Iterator[None]:
    """Let whatever this thread logs meanwhile, whoever logs it, name the submission.

    What is no id, since a message may hold anything, is not named.
    """
    is_id = isinstance(submission_id, str) and SUBMISSION_ID_PATTERN.fullmatch(submission_id)
    token = _submission.set(str(submission_id) if is_id else None)
    try:
        yield
    finally:
        _submission.reset(token)


def set_up_logs(settings: Settings, level: int | str, file: str | None = None) -> None:
    """Let everything in this process that logs do it as the settings say, to standard error or a file."""
    handler = logging.FileHandler(file, encoding="utf-8") if file else logging.StreamHandler()
    handler.setFormatter(JsonLines() if settings.log_format == "json" else TextLines())
    hide_queries()
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)


def are_json() -> bool:
    """Whether this process logs for machines, so that nothing else should be among the lines."""
    return any(isinstance(handler.formatter, JsonLines) for handler in logging.getLogger().handlers)


class DiscreetRecord(logging.LogRecord):
    """A log record that shows every URL without its query, in tracebacks too, and names the submission."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.submission = _submission.get()
        if self.exc_info and self.exc_info[0] is not None:
            # Formatters take this text as it is, and make their own only where there is none.
            self.exc_text = _discreet(_TRACEBACKS.formatException(self.exc_info))

    def getMessage(self) -> str:  # noqa: N802 - logging's name
        """Return the message with its arguments, without queries and pictures."""
        return _discreet(super().getMessage())


def hide_queries() -> None:
    """Let every record of this process be a discreet one, whoever logs: Celery shows messages whole."""
    logging.setLogRecordFactory(DiscreetRecord)


class TextLines(logging.Formatter):
    """A line for people: when, how grave, who, about which submission, what."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s%(about)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the line."""
        submission = getattr(record, "submission", None)
        record.about = f" [{submission}]" if submission else ""
        return super().formatMessage(record)


class JsonLines(logging.Formatter):
    """One JSON object a line, a traceback inside it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        fields = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "submission": getattr(record, "submission", None),
            "process": f"{socket.gethostname()}:{record.process}",
            "thread": record.threadName,
            "traceback": _traceback(record),
        }
        return json.dumps({name: value for name, value in fields.items() if value is not None})


def _traceback(record: logging.LogRecord) -> str | None:
    """Return what went wrong, with the stack where that was asked for; None where there is nothing."""
    parts = [record.exc_text, record.stack_info and _discreet(record.stack_info)]
    return "\n".join(part for part in parts if part) or None


def _discreet(text: str) -> str:
    """Return `text` without what may sign a URL, without secrets and without the bytes of a picture."""
    return _PICTURE.sub("...", _SECRET.sub("***", without_queries(text)))
