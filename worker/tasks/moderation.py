"""The public tasks: parse the message, call the use case, and let the error's class choose what follows."""

import logging
import time
from typing import Any, Final

from celery import Task
from celery.exceptions import Reject

from worker.client.messages import TASK, from_message
from worker.domain.submission import SUBMISSION_ID_PATTERN, Submission
from worker.errors import ModerationError, PermanentError, UnavailableError
from worker.tasks.application import ModerationApp, create_app

log = logging.getLogger(__name__)

#: A failure nobody foresaw is tried again this often before the policy's `on_error` decides.
MAX_SURPRISES: Final = 3
#: While something we need is away, each thread waits this long with its job, and takes nothing new.
PAUSE_SECONDS: Final = 2.0

app: ModerationApp = create_app()


@app.task(name=TASK, bind=True, max_retries=None)
def check(task: "Task[Any, Any]", /, *positional: Any, **message: Any) -> None:
    """Decide one submission; the fields are those of `worker.client.messages`."""
    try:
        _decide(task, from_message(message, positional))
    except UnavailableError as error:
        raise _back_to_the_queue(error) from None
    except PermanentError as error:
        _refuse(message.get("id"), error)


def _decide(task: "Task[Any, Any]", submission: Submission) -> None:
    moderate_image = app.service.moderate_image
    try:
        decision_id = moderate_image(submission)
    except ModerationError:
        raise
    except Exception as error:
        attempt = task.request.retries + 1
        log.exception("submission %s failed, attempt %d of %d", submission.id, attempt, MAX_SURPRISES)
        if attempt < MAX_SURPRISES:
            raise _again(task, error) from error
        decision_id = moderate_image.give_up(
            submission, f"judging it failed {MAX_SURPRISES} times: {error!r}"
        )
    if decision_id is None:
        log.info("submission %s was decided before", submission.id)
    else:
        log.info("submission %s decided, decision %d", submission.id, decision_id)


def _refuse(submission_id: object, error: PermanentError) -> None:
    """Keep a trace of what no policy can decide: in the log, and in the ledger where it has an id."""
    log.error("submission %.140r refused: %s", submission_id, error.message)
    if not isinstance(submission_id, str) or not SUBMISSION_ID_PATTERN.fullmatch(submission_id):
        return
    try:
        app.service.moderate_image.refuse(submission_id, error)
    except UnavailableError as unavailable:
        raise _back_to_the_queue(unavailable) from None


def _back_to_the_queue(error: UnavailableError) -> Reject:
    """Wait a little, then hand the message back as it came; raise the result.

    Not `task.retry`: that publishes a copy, takes ever more jobs into memory while it waits, and drops the
    message when the broker refuses the copy.
    """
    log.warning("waiting: %s", error.message)
    time.sleep(PAUSE_SECONDS)
    return Reject(error.message, requeue=True)


def _again(task: "Task[Any, Any]", error: Exception) -> Exception:
    """Return Celery's signal that the task is tried again shortly, counted; raise it."""
    try:
        retry: Exception = task.retry(exc=error, countdown=1, throw=False)
    except Reject:
        # The broker did not take the copy: keep the original.
        return Reject(error, requeue=True)
    return retry
