"""The public tasks: parse the message, settle what it brings, and acknowledge it: the ledger has it then."""

import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

from celery.exceptions import Reject

from worker.client.messages import MAX_SUBMISSIONS, TASK, TASK_MANY, from_many_message, from_message
from worker.domain.dropped_message import DropReason
from worker.domain.submission import SUBMISSION_ID_PATTERN, Submission
from worker.errors import PermanentError, UnavailableError
from worker.logs import about
from worker.tasks.application import ModerationApp, create_app
from worker.usecases.settle_submissions import Spread

log = logging.getLogger(__name__)

#: While something we need is away, each thread waits this long with its job, and takes nothing new.
PAUSE_SECONDS: Final = 2.0

app: ModerationApp = create_app()


@app.task(name=TASK)
def check(*positional: Any, **message: Any) -> None:
    """Decide one submission; the fields are those of `worker.client.messages`."""
    _settle([message], positional)


@app.task(name=TASK_MANY)
def check_many(*positional: Any, **message: Any) -> None:
    """Decide up to 64 submissions, each on its own."""
    try:
        messages = from_many_message(message, positional)
    except PermanentError as error:
        _refuse_all(_entries(message), error)
    else:
        # Threads of this process together, whatever messages they work on, so that pictures share passes.
        _settle(messages, spread=app.crew.map)


def _settle(
    messages: Iterable[Mapping[str, Any]], positional: tuple[Any, ...] = (), spread: Spread = map
) -> None:
    try:
        read = [_read(message, positional) for message in messages]
        app.service.settle([one for one in read if one], spread)
    except UnavailableError as error:
        raise _back_to_the_queue(error) from None


def _read(message: Mapping[str, Any], positional: tuple[Any, ...]) -> Submission | None:
    """Return what a message says; None where it says nothing that could be judged, and then it is refused."""
    try:
        return from_message(message, positional)
    except PermanentError as error:
        _refuse(message, error)
        return None


def _entries(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return what looks like submissions in a message of many that is none."""
    found = message.get("submissions")
    entries: list[Mapping[str, Any]] = [{}]
    if isinstance(found, list):
        entries = [one for one in found if isinstance(one, dict)] or entries
    return entries[: 16 * MAX_SUBMISSIONS]


def _refuse_all(entries: Iterable[Mapping[str, Any]], error: PermanentError) -> None:
    try:
        for one in entries:
            _refuse(one, error)
    except UnavailableError as unavailable:
        raise _back_to_the_queue(unavailable) from None


def _refuse(message: Mapping[str, Any], error: PermanentError) -> None:
    """Keep a trace of what cannot be read: in the log, and in the ledger where it has an id."""
    submission_id = message.get("id")
    with about(submission_id):
        log.error("submission %.140r refused: %s", submission_id, error.message)
    if isinstance(submission_id, str) and SUBMISSION_ID_PATTERN.fullmatch(submission_id):
        app.service.moderate_image.refuse(submission_id, error)
    else:
        app.drop(DropReason.NO_ID, error.message, message)


def _back_to_the_queue(error: Exception) -> Reject:
    """Wait a little, then hand the message back as it came; raise the result.

    Not `task.retry`: that publishes a copy, takes ever more jobs into memory while it waits, and drops the
    message when the broker refuses the copy.
    """
    log.warning("waiting: %s", error)
    time.sleep(PAUSE_SECONDS)
    return Reject(error, requeue=True)
