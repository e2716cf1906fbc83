"""The Celery application: its settings, and the service that all threads of a worker process share."""

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

#: Celery's loggers that log every message received and done; our log has a line for every decision.
_LOGGERS_PER_MESSAGE: Final = ("celery.worker.strategy", "celery.app.trace")

Result = TypeVar("Result")


class ModerationApp(BrokerCelery):
    """A Celery application that opens the service when its worker starts, never at import."""

    @cached_property
    def settings(self) -> Settings:
        """The settings from the environment, read on first use."""
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
        """The jobs of this process that are in flight."""
        return Progress()

    @cached_property
    def executor(self) -> ThreadPoolExecutor:
        """The threads that all messages of many submissions share."""
        return self._open.enter_context(ThreadPoolExecutor(Sizing.of(self.settings).concurrency, "many"))

    @cached_property
    def _open(self) -> ExitStack:
        return ExitStack()

    def drop(self, reason: DropReason, problem: str, raw: object) -> None:
        """Count a message that no worker can process, and store it for inspection."""
        self.service.dropped.note(reason, problem, raw)

    def close_service(self) -> None:
        """Stop watching the policy files, and close the database."""
        self._open.close()


def configuration(settings: Settings) -> dict[str, Any]:
    """Return Celery's settings; the reasons are Celery's behaviour, measured."""
    return {
        "task_default_queue": settings.queue,
        # Acknowledged once the ledger has it; if a worker dies before, the broker redelivers the message.
        "task_acks_late": True,
        "task_ignore_result": True,
        "accept_content": ["json"],
        "task_serializer": "json",
        # A forked child hangs once its parent has run torch, and processes cannot share a forward pass.
        "worker_pool": "threads",
        "worker_consumer": "worker.tasks.consumer:CarefulConsumer",
        "worker_concurrency": Sizing.of(settings).concurrency,
        # No message is prefetched beyond those being processed. Those are claimed: when a worker dies, the
        # ledger republishes them within seconds, but prefetched ones wait for the visibility timeout.
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
    app.add_defaults(lambda: _or_exit(lambda: configuration(app.settings)))
    # Celery sets up no logging if this signal has a receiver.
    setup_logging.connect(_log_by_settings(app), weak=False, dispatch_uid="worker.tasks")
    unreadable.connect(_drop_unreadable(app), weak=False, dispatch_uid="worker.tasks")
    task_revoked.connect(_drop_expired(app), weak=False, dispatch_uid="worker.tasks")
    return app


def _log_by_settings(app: ModerationApp) -> Callable[..., None]:
    def set_up(loglevel: int | str | None = None, logfile: str | None = None, **_: Any) -> None:
        begin_logs()
        settings = _or_exit(lambda: app.settings)
        # Celery's default level must not override an operator's MODERATION_LOG_LEVEL.
        level = None if "log_level" in settings.model_fields_set else loglevel or logging.WARNING
        set_up_logs(settings, level, logfile)
        if not logging.getLogger().isEnabledFor(logging.DEBUG):
            for name in _LOGGERS_PER_MESSAGE:
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


def _or_exit(work: Callable[[], Result]) -> Result:
    """Return the result of `work`; on a ModerationError, print it in one line and exit."""
    try:
        return work()
    except ModerationError as error:
        if not are_json():
            # If the settings are wrong, they have set up no logs.
            begin_logs()
        if are_json():
            log.critical("%s", f"{error.message}; {error.hint}" if error.hint else error.message)
            raise SystemExit(error.exit_code) from None
        hint = f"\n  hint: {error.hint}" if error.hint else ""
        sys.stderr.write(printable(f"error: {error.message}{hint}\n"))
        raise SystemExit(error.exit_code) from None


def _require_threads(pool: Any) -> None:
    """Refuse other pools; Celery treats `-P prefork` as the default, and uses the pool of our settings."""
    if get_implementation(pool) is not Threads:
        name = getattr(pool, "__module__", str(pool)).rpartition(".")[2]
        raise UsageError(
            f"the pool {name!r} cannot share one model among its jobs",
            hint="start `celery -A worker.tasks worker -P threads`, or `moderate worker`",
        )


@celeryd_init.connect
def _log_from_the_start(instance: Any, options: dict[str, Any], **_: Any) -> None:
    """Set up logs early: Celery logs warnings before it sends setup_logging."""
    if isinstance(instance.app, ModerationApp):
        _log_by_settings(instance.app)(options.get("loglevel"))


def _write_json_line(message: str, *_: Any) -> None:
    """Log inside a signal handler, where the log's stream may be in the middle of a line."""
    record = log.makeRecord(log.name, logging.INFO, __file__, 0, "%s", (message,), None)
    os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, f"{JsonLines().format(record)}\n".encode())


@worker_init.connect
def _open_service(sender: Any, **_: Any) -> None:
    """Load model and policies before the first job is claimed; on failure print one line and exit."""
    if not isinstance(sender.app, ModerationApp):
        return
    _or_exit(lambda: _require_threads(sender.pool_cls))
    if are_json():
        # Celery prints its banner and its messages about signals past the log.
        sender.quiet = True
        celery.apps.worker.safe_say = _write_json_line  # type: ignore[attr-defined]  # the stubs lack it
    service = _or_exit(lambda: sender.app.service)
    log.info("model %s ready, policies %s", service.encoder.name, ", ".join(service.policies.names))


@worker_shutdown.connect
def _close_service(sender: Any, **_: Any) -> None:
    if isinstance(sender.app, ModerationApp):
        sender.app.close_service()
        if left := len(CarefulChannel.unrecorded):
            log.critical("%d messages that Redis popped and would not take back are lost", left)
