"""The public tasks: parse a message, settle its submissions, acknowledge it once the ledger has them."""

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
from worker.usecases.moderation.settle_submissions import MapFunction

log = logging.getLogger(__name__)

#: While a resource is unavailable, each thread holds its message this long before it requeues it.
PAUSE_SECONDS: Final = 2.0

#: How many entries of an oversized message are refused individually.
_MOST_REFUSED: Final = 16 * MAX_SUBMISSIONS

#: The fields of a submission that could not be entered into the ledger, and the error.
_Failed = tuple[Mapping[str, Any], BaseException]

app: ModerationApp = create_app()


@app.task(name=TASK)
def check(*positional: Any, **message: Any) -> None:
    """Decide one submission; the fields are those of `moderation_client.messages`."""
    with _requeue_unless_settled():
        _settle_or_refuse([message], positional)


@app.task(name=TASK_MANY)
def check_many(*positional: Any, **message: Any) -> None:
    """Decide up to 64 submissions, independently of each other."""
    with _requeue_unless_settled():
        try:
            messages = from_many_message(message, positional)
        except InvalidSubmissionError as error:
            entries = _entries_of_invalid(message)
            if len(entries) > _MOST_REFUSED:
                # The entries beyond the limit are recorded here, in bounded size.
                app.drop(DropReason.NOT_A_TASK, error.message, message)
            _set_aside_or_requeue(
                [failed for one in entries[:_MOST_REFUSED] for failed in _refuse_invalid(one, error)]
            )
        else:
            # In the executor of this process, so that pictures of different messages share passes.
            _settle_or_refuse(messages, map_jobs=app.executor.map)


@contextmanager
def _requeue_unless_settled() -> Iterator[None]:
    """Requeue the message if the body raises; without an error all its submissions are in the ledger.

    If a task fails otherwise, Celery acknowledges or drops its message: there is no setting to requeue it.
    """
    try:
        yield
    except Reject:
        raise
    except UnavailableError as error:
        raise _pause_and_requeue(error) from None
    except BaseException as error:
        log.exception("a message could not be settled; it is requeued")
        raise _pause_and_requeue(error) from None


def _settle_or_refuse(
    messages: Iterable[Mapping[str, Any]], positional: tuple[Any, ...] = (), map_jobs: MapFunction = map
) -> None:
    """Settle the valid submissions and refuse the invalid ones; Reject if some must be requeued."""
    submissions: list[Submission] = []
    failed: list[_Failed] = []
    for message in messages:
        try:
            submissions.append(with_headers(from_message(message, positional), _message_headers()))
        except InvalidSubmissionError as error:
            failed += _refuse_invalid(message, error)
    failures = app.service.settle(submissions, map_jobs)
    _set_aside_or_requeue([*failed, *((to_message(one.submission), one.error) for one in failures)])


def _set_aside_or_requeue(failed: Sequence[_Failed]) -> None:
    """Set aside what could not be entered into the ledger; Reject if some of it must be requeued."""
    requeued = [error for message, error in failed if not app.service.set_aside(message, error)]
    if requeued:
        raise _pause_and_requeue(requeued[0])


def _message_headers() -> Mapping[str, Any]:
    """Return the headers of the message that this thread processes; protocol 1 has none."""
    task = app.current_worker_task
    return (task and task.request.headers) or {}


def _entries_of_invalid(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return what looks like submissions in an invalid message of many."""
    found = message.get("submissions")
    entries: list[Mapping[str, Any]] = [{}]
    if isinstance(found, list):
        entries = [one for one in found if isinstance(one, dict)] or entries
    return entries


def _refuse_invalid(message: Mapping[str, Any], error: PermanentError) -> list[_Failed]:
    """Refuse an invalid submission in the ledger; without a valid id, drop its message.

    Return it if it could not be entered into the ledger. UnavailableError if the database is unavailable.
    """
    submission_id = message.get("id")
    with about(submission_id, _message_headers().get(TRACEPARENT)):
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


def _pause_and_requeue(error: BaseException) -> Reject:
    """Pause, then return a Reject that requeues the message unchanged; the caller raises it.

    Not `task.retry`: it publishes a copy, takes ever more jobs into memory while it waits, and drops the
    message if the broker refuses the copy.
    """
    reason = error.message if isinstance(error, ModerationError) else in_a_line(error)
    log.warning("waiting: %s", reason)
    time.sleep(PAUSE_SECONDS)
    return Reject(reason, requeue=True)
