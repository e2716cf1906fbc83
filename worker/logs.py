"""Keeps the queries of URLs, which may be signatures, out of whatever a process of ours logs."""

import logging
from typing import Any

from worker.domain.url import without_queries

_TRACEBACKS = logging.Formatter()


class DiscreetRecord(logging.LogRecord):
    """A log record that shows every URL without its query, in tracebacks too."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        if self.exc_info and self.exc_info[0] is not None:
            # Formatters take this text as it is, and make their own only where there is none.
            self.exc_text = without_queries(_TRACEBACKS.formatException(self.exc_info))

    def getMessage(self) -> str:  # noqa: N802 - logging's name
        """Return the message with its arguments, without queries."""
        return without_queries(super().getMessage())


def hide_queries() -> None:
    """Let every record of this process be a discreet one, whoever logs: Celery shows messages whole."""
    logging.setLogRecordFactory(DiscreetRecord)
