"""The public tasks: parse the message, settle what it brings, and acknowledge it: the ledger has it then."""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from celery.exceptions import Reject
from moderation_client.messages import (
    MAX_SUBMISSIONS,
    TASK,
    TASK_MANY,
    from_many_message,
    from_message,
    to_message,
    with_headers,
)
from moderation_client.submission import SUBMISSION_ID_PATTERN, Submission
from moderation_client.traceparent import TRACEPARENT

from worker.concurrency.batching import in_a_line
from worker.domain.submissions.dropped_message import DropReason
from worker.errors import InvalidSubmissionError, ModerationError, PermanentError, UnavailableError
from worker.observability.logs import about
from worker.tasks.application import ModerationApp, create_app
from worker.usecases.moderation.settle_submissions import Spread

log = logging.getLogger(__name__)

#: While something we need is unavailable, each thread waits this long with its job, and takes nothing new.
PAUSE_SECONDS: Final = 2.0

#: Of a message of too many, so many are refused one by one.
_MOST_REFUSED: Final = 16 * MAX_SUBMISSIONS

#: The fields of a submission that the ledger could not take, and why.
_Failed = tuple[Mapping[str, Any], BaseException]

app: ModerationApp = create_app()


@app.task(name=TASK)
def check(*positional: Any, **message: Any) -> None:
    """Decide one submission; the fields are those of `moderation_client.messages`."""
    with _answered_for():
        _settle([message], positional)


@app.task(name=TASK_MANY)
def check_many(*positional: Any, **message: Any) -> None:
    """Decide up to 64 submissions, each on its own."""
    with _answered_for():
        try:
            messages = from_many_message(message, positional)
        except InvalidSubmissionError as error:
            entries = _entries(message)
            if len(entries) > _MOST_REFUSED:
                # The rest leaves its trace here, in bounded size.
                app.drop(DropReason.NOT_A_TASK, error.message, message)
            _set_aside([failed for one in entries[:_MOST_REFUSED] for failed in _refuse(one, error)])
        else:
            # Threads of this process together, whatever messages they work on, so that pictures share passes.
            _settle(messages, spread=app.crew.map)


@contextmanager
def _answered_for() -> Iterator[None]:
    """Requeue the message unless the ledger answers for all that it brings, whatever is raised.

    Celery acknowledges a task that fails in any other way, or drops its message: there is no setting to
    requeue it.
    """
    try:
        yield
    except Reject:
        raise
    except UnavailableError as error:
        raise _back_to_the_queue(error) from None
    except BaseException as error:
        log.exception("a message could not be settled; it goes back to the queue")
        raise _back_to_the_queue(error) from None


def _settle(
    messages: Iterable[Mapping[str, Any]], positional: tuple[Any, ...] = (), spread: Spread = map
) -> None:
    submissions: list[Submission] = []
    failed: list[_Failed] = []
    for message in messages:
        try:
            submissions.append(with_headers(from_message(message, positional), _headers()))
        except InvalidSubmissionError as error:
            failed += _refuse(message, error)
    failures = app.service.settle(submissions, spread)
    _set_aside([*failed, *((to_message(one.submission), one.error) for one in failures)])


def _set_aside(failed: Sequence[_Failed]) -> None:
    """Answer for what the ledger could not take; Reject if some of it has to come back by the queue."""
    back = [error for message, error in failed if not app.service.set_aside(message, error)]
    if back:
        raise _back_to_the_queue(back[0])


def _headers() -> Mapping[str, Any]:
    """Return the headers of the message that this thread works on; protocol 1 has none."""
    task = app.current_worker_task
    return (task and task.request.headers) or {}


def _entries(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return what looks like submissions in a message of many that is not one."""
    found = message.get("submissions")
    entries: list[Mapping[str, Any]] = [{}]
    if isinstance(found, list):
        entries = [one for one in found if isinstance(one, dict)] or entries
    return entries


def _refuse(message: Mapping[str, Any], error: PermanentError) -> list[_Failed]:
    """Keep a trace of what cannot be read: in the ledger if it has an id, else among the dropped messages.

    Return it if the ledger could not take it. UnavailableError if the database is unavailable.
    """
    submission_id = message.get("id")
    with about(submission_id, _headers().get(TRACEPARENT)):
        log.error("submission %.140r refused: %s", submission_id, error.message)
        if not isinstance(submission_id, str) or not SUBMISSION_ID_PATTERN.fullmatch(submission_id):
            app.drop(DropReason.NO_ID, error.message, message)
            return []
        try:
            app.service.refuse(submission_id, error)
        except UnavailableError:
            raise
        except Exception as failure:
            log.exception("submission %s cannot be refused", submission_id)
            return [(message, failure)]
    return []


def _back_to_the_queue(error: BaseException) -> Reject:
    """Wait a little, then hand the message back as it came; raise the result.

    Not `task.retry`: that publishes a copy, takes ever more jobs into memory while it waits, and drops the
    message when the broker refuses the copy.
    """
    reason = error.message if isinstance(error, ModerationError) else in_a_line(error)
    log.warning("waiting: %s", reason)
    time.sleep(PAUSE_SECONDS)
    return Reject(reason, requeue=True)
