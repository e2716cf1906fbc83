"""The public tasks: parse the message, call the use case, and let the error's class choose what follows."""

import logging
from typing import Any, Final

from celery import Task

from worker.client.messages import TASK, from_message
from worker.domain.submission import SUBMISSION_ID_PATTERN, Submission
from worker.errors import ModerationError, PermanentError, UnavailableError
from worker.tasks.application import ModerationApp, create_app

log = logging.getLogger(__name__)

#: A failure nobody foresaw is tried again this often before the policy's `on_error` decides.
MAX_SURPRISES: Final = 3
#: Well below the visibility timeout: a waiting job is unacknowledged, and would be delivered twice.
MAX_RETRY_SECONDS: Final = 20

app: ModerationApp = create_app()


@app.task(name=TASK, bind=True, max_retries=None)
def check(task: "Task[Any, Any]", *positional: Any, **message: Any) -> None:
    """Decide one submission; the fields are those of `worker.client.messages`."""
    try:
        submission = from_message(message, positional)
        _decide(task, submission)
    except UnavailableError as error:
        _retry(task, error)
    except PermanentError as error:
        _refuse(task, message.get("id"), error)


def _decide(task: "Task[Any, Any]", submission: Submission) -> None:
    moderate_image = app.service.moderate_image
    try:
        decision_id = moderate_image(submission)
    except ModerationError:
        raise
    except Exception as error:
        log.exception("submission %s failed, attempt %d", submission.id, task.request.retries + 1)
        if task.request.retries + 1 < MAX_SURPRISES:
            raise _again(task, error) from error
        decision_id = moderate_image.give_up(
            submission, f"judging it failed {MAX_SURPRISES} times: {error!r}"
        )
    if decision_id is None:
        log.info("submission %s was decided before", submission.id)
    else:
        log.info("submission %s decided, decision %d", submission.id, decision_id)


def _refuse(task: "Task[Any, Any]", submission_id: object, error: PermanentError) -> None:
    """Keep a trace of what no policy can decide: in the log, and in the ledger where it has an id."""
    log.error("submission %.140r refused: %s", submission_id, error.message)
    if not isinstance(submission_id, str) or not SUBMISSION_ID_PATTERN.fullmatch(submission_id):
        return
    try:
        app.service.moderate_image.refuse(submission_id, error)
    except UnavailableError as unavailable:
        _retry(task, unavailable)


def _retry(task: "Task[Any, Any]", error: Exception) -> None:
    log.warning("tried again shortly: %s", error)
    raise _again(task, error) from None


def _again(task: "Task[Any, Any]", error: Exception) -> Exception:
    """Return Celery's signal that the task is queued again; raise it."""
    countdown = min(MAX_RETRY_SECONDS, 2**task.request.retries)
    retry: Exception = task.retry(exc=error, countdown=countdown, throw=False)
    return retry
