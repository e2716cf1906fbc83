"""The Celery application: its settings, and the one service that all threads of a worker process share."""

import logging
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import cached_property
from typing import Any, Final, TypeVar

import celery.apps.worker
from celery.concurrency import get_implementation
from celery.concurrency.thread import TaskPool as Threads
from celery.signals import celeryd_init, setup_logging, task_revoked, worker_init, worker_shutdown
from moderation_client.broker_url import BrokerUrl
from moderation_client.redis_transport import CarefulChannel, unreadable
from moderation_client.transport import BrokerCelery, worker_configuration

from worker.domain.submissions.dropped_message import DropReason
from worker.errors import ModerationError, UsageError
from worker.observability.logs import JsonLines, are_json, begin_logs, set_up_logs
from worker.observability.progress import Progress
from worker.printable import printable
from worker.settings import Settings
from worker.wiring.sizing import Sizing
from worker.wiring.worker_service import Service, open_service

log = logging.getLogger(__name__)

#: Celery's loggers of a line for each message that arrives and each that is done; a decision has its own.
_LINES_A_MESSAGE: Final = ("celery.worker.strategy", "celery.app.trace")

Result = TypeVar("Result")


class ModerationApp(BrokerCelery):
    """A Celery application that opens the service when its worker starts, never at import."""

    @cached_property
    def settings(self) -> Settings:
        """The environment, read when it is first needed."""
        return Settings.read()

    @cached_property
    def broker(self) -> BrokerUrl:
        """The broker of the settings."""
        return BrokerUrl.parse(self.settings.broker_url)

    @cached_property
    def service(self) -> Service:
        """The service of this process; closed with the worker."""
        return self._open.enter_context(open_service(self.settings, self.progress))

    @cached_property
    def progress(self) -> Progress:
        """What this process has in hand."""
        return Progress()

    @cached_property
    def crew(self) -> ThreadPoolExecutor:
        """The threads that work on messages of many submissions, shared by all such messages."""
        return self._open.enter_context(ThreadPoolExecutor(Sizing.of(self.settings).concurrency, "many"))

    @cached_property
    def _open(self) -> ExitStack:
        return ExitStack()

    def drop(self, reason: DropReason, problem: str, raw: object) -> None:
        """Count a message that no worker can work on, and keep it for people."""
        self.service.dropped.note(reason, problem, raw)

    def close_service(self) -> None:
        """Stop following the policy files and let go of the database."""
        self._open.close()


def configuration(settings: Settings) -> dict[str, Any]:
    """Return Celery's settings; the reasons are Celery's behaviour, measured."""
    return {
        "task_default_queue": settings.queue,
        # Acknowledged once the ledger answers for it; what dies before has decided nothing, and comes back.
        "task_acks_late": True,
        "task_ignore_result": True,
        "accept_content": ["json"],
        "task_serializer": "json",
        # A forked child hangs once its parent has run torch, and processes cannot share a forward pass.
        "worker_pool": "threads",
        "worker_consumer": "worker.tasks.consumer:CarefulConsumer",
        "worker_concurrency": Sizing.of(settings).concurrency,
        # None waits here beyond those at work, which are claimed: when a worker dies, the ledger brings those
        # back within seconds, but the broker what it had only fetched after its visibility timeout.
        "worker_prefetch_multiplier": 1,
        "worker_hijack_root_logger": False,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        **worker_configuration(BrokerUrl.parse(settings.broker_url)),
    }


def create_app() -> ModerationApp:
    """Return the application; it reads the environment when Celery first asks for its configuration."""
    app = ModerationApp("moderation")
    app.add_defaults(lambda: _or_leave(lambda: configuration(app.settings)))
    # Celery sets up no logs of its own where somebody listens to this.
    setup_logging.connect(_log_by_settings(app), weak=False, dispatch_uid="worker.tasks")
    unreadable.connect(_drop_unreadable(app), weak=False, dispatch_uid="worker.tasks")
    task_revoked.connect(_drop_expired(app), weak=False, dispatch_uid="worker.tasks")
    return app


def _log_by_settings(app: ModerationApp) -> Callable[..., None]:
    def set_up(loglevel: int | str | None = None, logfile: str | None = None, **_: Any) -> None:
        begin_logs()
        settings = _or_leave(lambda: app.settings)
        # Celery's own default is no choice of an operator who set MODERATION_LOG_LEVEL.
        level = None if "log_level" in settings.model_fields_set else loglevel or logging.WARNING
        set_up_logs(settings, level, logfile)
        if not logging.getLogger().isEnabledFor(logging.DEBUG):
            for name in _LINES_A_MESSAGE:
                logging.getLogger(name).setLevel(logging.WARNING)

    return set_up


def _drop_unreadable(app: ModerationApp) -> Callable[..., None]:
    def drop(text: bytes, problem: str, **_: Any) -> None:
        app.drop(DropReason.NOT_A_MESSAGE, problem, text)

    return drop


def _drop_expired(app: ModerationApp) -> Callable[..., None]:
    def drop(sender: Any, request: Any, expired: bool, **_: Any) -> None:
        if expired and sender.app is app:
            app.drop(DropReason.EXPIRED, f"its `expires` was {request.expires}", dict(request.kwargs or {}))

    return drop


def _or_leave(work: Callable[[], Result]) -> Result:
    """Do what a worker needs to start; where that fails, leave in one clear line."""
    try:
        return work()
    except ModerationError as error:
        if not are_json():
            # The settings may be what is wrong, and then they set up no logs.
            begin_logs()
        if are_json():
            log.critical("%s", f"{error.message}; {error.hint}" if error.hint else error.message)
            raise SystemExit(error.exit_code) from None
        hint = f"\n  hint: {error.hint}" if error.hint else ""
        sys.stderr.write(printable(f"error: {error.message}{hint}\n"))
        raise SystemExit(error.exit_code) from None


def _require_threads(pool: Any) -> None:
    """Refuse any other pool; Celery itself takes `-P prefork` for no choice, and the one of our settings."""
    if get_implementation(pool) is not Threads:
        name = getattr(pool, "__module__", str(pool)).rpartition(".")[2]
        raise UsageError(
            f"the pool {name!r} cannot share one model among its jobs",
            hint="start `celery -A worker.tasks worker -P threads`, or `moderate worker`",
        )


@celeryd_init.connect
def _log_from_the_start(instance: Any, options: dict[str, Any], **_: Any) -> None:
    """Celery warns of what it dislikes before it sets up logs."""
    if isinstance(instance.app, ModerationApp):
        _log_by_settings(instance.app)(options.get("loglevel"))


def _say_in_json(message: str, *_: Any) -> None:
    """Log from within a signal handler: the log's own stream may be in the middle of another line."""
    record = log.makeRecord(log.name, logging.INFO, __file__, 0, "%s", (message,), None)
    os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, f"{JsonLines().format(record)}\n".encode())


@worker_init.connect
def _open_service(sender: Any, **_: Any) -> None:
    """Load model and policies before the first job is claimed, and leave in one clear line if that fails."""
    if not isinstance(sender.app, ModerationApp):
        return
    _or_leave(lambda: _require_threads(sender.pool_cls))
    if are_json():
        # Celery prints its banner, and what it says of signals, beside the log.
        sender.quiet = True
        celery.apps.worker.safe_say = _say_in_json  # type: ignore[attr-defined]  # the stubs lack it
    service = _or_leave(lambda: sender.app.service)
    log.info("model %s ready, policies %s", service.encoder.name, ", ".join(service.policies.names))


@worker_shutdown.connect
def _close_service(sender: Any, **_: Any) -> None:
    if isinstance(sender.app, ModerationApp):
        sender.app.close_service()
        if left := len(CarefulChannel.unrecorded):
            log.critical("%d messages that Redis popped and would not take back are lost", left)
