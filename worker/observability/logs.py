"""Logging for people or machines: records name the submission, and never contain a URL's query."""

import json
import logging
import os
import re
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from moderation_client.submission import SUBMISSION_ID_PATTERN
from moderation_client.traceparent import traceparent_of
from moderation_client.url import without_queries

from worker.printable import one_line, printable

if TYPE_CHECKING:
    # `moderate --version` sets up logs too, and need not import pydantic.
    from worker.settings import Settings

log = logging.getLogger(__name__)

_TRACEBACKS: Final = logging.Formatter()
#: Not text that people write, but an inline picture in a message that Celery logs.
_PICTURE: Final = re.compile(r"[A-Za-z0-9+/]{512,}={0,2}")
#: A password in a URL, a password's hash, a webhook's secret.
_SECRET: Final = re.compile(
    r"(?<=://)[^\s/?#@\"'<>]*:[^\s/?#@\"'<>]*(?=@)|\$argon2[^\s'\"]+|whsec_[A-Za-z0-9+/=_-]+"
)
#: Indents the lines of a traceback, so that no content of a record can look like another record.
_INDENT: Final = "\n    "
_LEVELS: Final = {"debug", "info", "warning", "error"}


@dataclass(frozen=True, slots=True)
class _Subject:
    """The submission that a thread processes."""

    submission: str | None
    traceparent: str | None


#: The subject of this thread; None if it is idle.
_subject: ContextVar[_Subject | None] = ContextVar("subject", default=None)


@contextmanager
def about(submission_id: object, traceparent: object = None) -> Iterator[None]:
    """Add a submission and its trace to every record that this thread logs while the context lasts.

    An invalid id or trace, as an untrusted message may have, is left out.
    """
    is_id = isinstance(submission_id, str) and SUBMISSION_ID_PATTERN.fullmatch(submission_id)
    token = _subject.set(_Subject(str(submission_id) if is_id else None, traceparent_of(traceparent)))
    try:
        yield
    finally:
        _subject.reset(token)


def begin_logs() -> None:
    """Set up logs from the environment before the settings are read, to log errors in the settings."""
    environment = {name.upper(): value.lower() for name, value in os.environ.items()}
    level = environment.get("MODERATION_LOG_LEVEL", "")
    formatter = JsonLines() if environment.get("MODERATION_LOG_FORMAT") == "json" else CommandLines()
    _install(logging.StreamHandler(), formatter, level.upper() if level in _LEVELS else logging.WARNING)


def set_up_logs(settings: "Settings", level: int | str | None = None, file: str | None = None) -> None:
    """Set up logs from the settings, to standard error or `file`; `level` overrides the settings."""
    handler = logging.FileHandler(file, encoding="utf-8") if file else logging.StreamHandler()
    formatter = JsonLines() if settings.log_format == "json" else TextLines()
    _install(handler, formatter, settings.log_level.upper() if level is None else level)


def are_json() -> bool:
    """Whether this process logs JSON, so that nothing else may be printed between the lines."""
    return any(isinstance(handler.formatter, JsonLines) for handler in logging.getLogger().handlers)


def _install(handler: logging.Handler, formatter: logging.Formatter, level: int | str) -> None:
    handler.setFormatter(formatter)
    hide_queries()
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)
    threading.excepthook = _log_uncaught_in_thread
    sys.excepthook = _log_uncaught


def _log_uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
    else:
        log.critical("an unforeseen error ends this process", exc_info=(kind, error, traceback))


def _log_uncaught_in_thread(failed: threading.ExceptHookArgs) -> None:
    if failed.exc_value and not issubclass(failed.exc_type, SystemExit):
        name = failed.thread.name if failed.thread else "unknown"
        trace = (failed.exc_type, failed.exc_value, failed.exc_traceback)
        log.critical("an unforeseen error ends the thread %s", name, exc_info=trace)


class DiscreetRecord(logging.LogRecord):
    """A log record that strips the query of every URL, in tracebacks too, and names the submission."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        subject = _subject.get()
        self.submission = subject and subject.submission
        self.traceparent = subject and subject.traceparent
        if self.exc_info and self.exc_info[0] is not None:
            # Formatters use this text, and format the exception only if it is missing.
            self.exc_text = _discreet(_TRACEBACKS.formatException(self.exc_info))

    def getMessage(self) -> str:  # noqa: N802 - logging's name
        """Return the message with its arguments, without queries, secrets and pictures."""
        return _discreet(super().getMessage())


def hide_queries() -> None:
    """Make all log records of this process DiscreetRecords: Celery, too, logs whole messages."""
    logging.setLogRecordFactory(DiscreetRecord)


class TextLines(logging.Formatter):
    """A line for people: time, level, logger, submission, message; the traceback below it."""

    def __init__(self, form: str = "%(asctime)s %(levelname)s %(name)s%(about)s: %(message)s") -> None:
        super().__init__(form)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, with control characters escaped that a terminal would obey."""
        record.message = record.getMessage()
        if self.usesTime():
            record.asctime = self.formatTime(record)
        subject = [getattr(record, name, None) for name in ("submission", "traceparent")]
        known = " ".join(one for one in subject if one)
        record.about = f" [{known}]" if known else ""
        line = one_line(self.formatMessage(record).rstrip("\n"))
        traceback = printable(_traceback(record) or "")
        return line + "".join(_INDENT + one for one in traceback.splitlines())


class CommandLines(TextLines):
    """A line for the users of a command: level, logger, message."""

    def __init__(self) -> None:
        super().__init__("%(levelname)s %(name)s: %(message)s")


class JsonLines(logging.Formatter):
    """One JSON object a line, a traceback inside it, and the fields of `extra={"fields": {...}}`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        given = getattr(record, "fields", None)
        fields = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "submission": getattr(record, "submission", None),
            "traceparent": getattr(record, "traceparent", None),
            **(given if isinstance(given, Mapping) else {}),
            "process": f"{socket.gethostname()}:{record.process}",
            "thread": record.threadName,
            "traceback": _traceback(record),
        }
        known = {name: value for name, value in fields.items() if value is not None}
        return json.dumps(known, default=str)


def _traceback(record: logging.LogRecord) -> str | None:
    """Return the exception and the stack of a record, without secrets; None if it has neither."""
    raised = record.exc_text
    if not raised and record.exc_info and record.exc_info[0] is not None:
        raised = _discreet(_TRACEBACKS.formatException(record.exc_info))
    parts = [raised, record.stack_info and _discreet(record.stack_info)]
    return "\n".join(part for part in parts if part) or None


def _discreet(text: str) -> str:
    """Return `text` without the queries of URLs, which may be signed, secrets and inline pictures."""
    return _PICTURE.sub("...", _SECRET.sub("***", without_queries(text)))
