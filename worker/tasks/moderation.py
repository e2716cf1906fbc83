"""The public tasks: parse the message, call the use case, and let the error's class choose what follows."""

import logging
import time
from collections.abc import Mapping
from typing import Any, Final

from celery import Task
from celery.exceptions import Reject
from kombu.exceptions import OperationalError

from worker.client.messages import MAX_SUBMISSIONS, TASK, TASK_MANY, from_many_message, from_message
from worker.domain.submission import SUBMISSION_ID_PATTERN, Submission
from worker.domain.url import without_queries
from worker.errors import ModerationError, PermanentError, RemoteUnavailableError, UnavailableError
from worker.logs import about
from worker.network.deadline import Deadline
from worker.tasks.application import ModerationApp, create_app

log = logging.getLogger(__name__)

#: What fails for a reason that may pass is tried this often before the policy's `on_error` decides.
MAX_ATTEMPTS: Final = 3
#: Before the second attempt and before the third: a server that was busy is not asked again at once.
RETRY_SECONDS: Final = (2.0, 8.0)
#: While something we need is away, each thread waits this long with its job, and takes nothing new.
PAUSE_SECONDS: Final = 2.0
#: What a message of many has not begun by then is handed on, long before it would be delivered twice.
BEGIN_SECONDS: Final = 20.0

#: Stands in Celery's headers for the arguments, which may hold signed URLs.
_NOT_SHOWN: Final = "..."

app: ModerationApp = create_app()


class _TryAgainError(Exception):
    """A submission failed, and another attempt is due."""


@app.task(name=TASK, bind=True, max_retries=None)
def check(task: "Task[Any, Any]", /, *positional: Any, **message: Any) -> None:
    """Decide one submission; the fields are those of `worker.client.messages`."""
    try:
        _settle(message, positional, _attempt(task))
    except _TryAgainError as failure:
        raise _again(task, message, failure) from None
    except UnavailableError as error:
        raise _back_to_the_queue(error) from None


@app.task(name=TASK_MANY, bind=True, max_retries=None)
def check_many(task: "Task[Any, Any]", /, *positional: Any, **message: Any) -> None:
    """Decide up to 64 submissions, each on its own; acknowledged when the last is settled.

    Where some could not be settled, the message comes back; those that are decided stay decided.
    """
    try:
        messages = from_many_message(message, positional)
    except PermanentError as error:
        _refuse_all(message, error)
        return
    _settle_all(task, messages)


def _settle_all(task: "Task[Any, Any]", messages: list[dict[str, Any]]) -> None:
    deadline, attempt = Deadline(BEGIN_SECONDS), _attempt(task)

    def settle(message: dict[str, Any]) -> Exception | None:
        """Return what stands in the way of settling one."""
        try:
            deadline.remaining()
            _settle(message, (), attempt)
        except (UnavailableError, TimeoutError, _TryAgainError) as error:
            return error
        except Exception:
            # One must not take the others with it.
            log.exception("submission %.140r failed", message.get("id"))
        return None

    # Threads of this process together, whatever messages they work on, so that their pictures share passes.
    obstacles = list(zip(messages, app.crew.map(settle, messages), strict=True))
    for _, error in obstacles:
        if isinstance(error, UnavailableError):
            raise _back_to_the_queue(error)
    _hand_on(task, [message for message, error in obstacles if isinstance(error, TimeoutError)])
    failed = [message for message, error in obstacles if isinstance(error, _TryAgainError)]
    if failed:
        problem = _TryAgainError(f"{len(failed)} of {len(messages)} submissions failed")
        raise _again(task, {"submissions": failed}, problem)


def _settle(message: Mapping[str, Any], positional: tuple[Any, ...], attempt: int) -> None:
    """Decide or refuse one submission; _TryAgainError, or UnavailableError where something is away."""
    with about(message.get("id")), app.progress.job(f"{message.get('id')!s:.140}"):
        try:
            _decide(from_message(message, positional), attempt)
        except PermanentError as error:
            _refuse(message.get("id"), error)


def _decide(submission: Submission, attempt: int) -> None:
    moderate_image = app.service.moderate_image
    try:
        decision_id = moderate_image(submission)
    except RemoteUnavailableError as error:
        log.warning("submission %s, attempt %d of %d: %s", submission.id, attempt, MAX_ATTEMPTS, error)
        failure, problem = _TryAgainError(error.message), f"{error.message}, {MAX_ATTEMPTS} times"
    except ModerationError:
        raise
    except Exception as error:
        log.exception("submission %s failed, attempt %d of %d", submission.id, attempt, MAX_ATTEMPTS)
        failure = _TryAgainError(without_queries(repr(error)))
        problem = f"judging it failed {MAX_ATTEMPTS} times: {failure}"
    else:
        _log_decision(submission, decision_id)
        return
    if attempt < MAX_ATTEMPTS:
        raise failure
    _log_decision(submission, moderate_image.give_up(submission, problem))


def _log_decision(submission: Submission, decision_id: int | None) -> None:
    if decision_id is None:
        log.info("submission %s was decided before", submission.id)
    else:
        log.info("submission %s decided, decision %d", submission.id, decision_id)


def _refuse_all(message: Mapping[str, Any], error: PermanentError) -> None:
    """Keep a trace of each submission in a message of many that is none."""
    found = message.get("submissions")
    entries = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    for one in entries[: 16 * MAX_SUBMISSIONS] or [{}]:
        try:
            _refuse(one.get("id"), error)
        except UnavailableError as unavailable:
            raise _back_to_the_queue(unavailable) from None


def _refuse(submission_id: object, error: PermanentError) -> None:
    """Keep a trace of what no policy can decide: in the log, and in the ledger where it has an id."""
    log.error("submission %.140r refused: %s", submission_id, error.message)
    if isinstance(submission_id, str) and SUBMISSION_ID_PATTERN.fullmatch(submission_id):
        app.service.moderate_image.refuse(submission_id, error)


def _attempt(task: "Task[Any, Any]") -> int:
    return int(task.request.retries) + 1


def _back_to_the_queue(error: Exception) -> Reject:
    """Wait a little, then hand the message back as it came; raise the result.

    Not `task.retry`: that publishes a copy, takes ever more jobs into memory while it waits, and drops the
    message when the broker refuses the copy.
    """
    log.warning("waiting: %s", error)
    time.sleep(PAUSE_SECONDS)
    return Reject(error, requeue=True)


def _hand_on(task: "Task[Any, Any]", messages: list[dict[str, Any]]) -> None:
    """Publish what there was no time to begin as a message of its own, as often tried as it was."""
    if not messages:
        return
    log.info("%d submissions are handed on: too many for one worker at once", len(messages))
    try:
        options: dict[str, Any] = {"kwargsrepr": _NOT_SHOWN, "retries": task.request.retries}
        task.apply_async(kwargs={"submissions": messages}, queue=app.settings.queue, **options)
    except OperationalError as error:
        # The broker did not take the copy: keep the original.
        raise Reject(error, requeue=True) from None


def _again(task: "Task[Any, Any]", message: dict[str, Any], error: Exception) -> Exception:
    """Return Celery's signal that `message` is tried again shortly, counted; raise it."""
    countdown = RETRY_SECONDS[min(_attempt(task), len(RETRY_SECONDS)) - 1]
    try:
        options: dict[str, Any] = {"kwargsrepr": _NOT_SHOWN, "countdown": countdown, "throw": False}
        retry: Exception = task.retry(exc=error, kwargs=message, **options)
    except Reject:
        # The broker did not take the copy: keep the original.
        return Reject(error, requeue=True)
    return retry
