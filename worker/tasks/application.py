"""The Celery application: its settings, and the one service that all threads of a worker process share."""

import logging
from collections.abc import Callable
from contextlib import ExitStack
from functools import cached_property
from typing import Any, Final, TypeVar

from celery import Celery
from celery.concurrency import get_implementation
from celery.concurrency.thread import TaskPool
from celery.signals import worker_init, worker_shutdown
from kombu import Connection

from worker.errors import ModerationError, UsageError
from worker.logs import hide_queries
from worker.settings import Settings
from worker.wiring import Service, open_service

log = logging.getLogger(__name__)

Result = TypeVar("Result")

#: A job still unacknowledged after this long is delivered again; the ledger tells who has it in hand.
VISIBILITY_TIMEOUT_SECONDS: Final = 60


class ModerationApp(Celery):
    """A Celery application that opens the service when its worker starts, never at import."""

    @cached_property
    def settings(self) -> Settings:
        """The environment, read when it is first needed."""
        return Settings.read()

    @cached_property
    def service(self) -> Service:
        """The service of this process; closed with the worker."""
        return self._open.enter_context(open_service(self.settings))

    @cached_property
    def _open(self) -> ExitStack:
        return ExitStack()

    def connection_for_read(self, url: str | None = None, *arguments: Any, **options: Any) -> Connection:
        """Connect to the broker of the settings, whatever CELERY_BROKER_URL says."""
        return super().connection_for_read(url or self.settings.broker_url, *arguments, **options)

    def connection_for_write(self, url: str | None = None, *arguments: Any, **options: Any) -> Connection:
        """Connect to the broker of the settings, whatever CELERY_BROKER_URL says."""
        return super().connection_for_write(url or self.settings.broker_url, *arguments, **options)

    def close_service(self) -> None:
        """Stop following the policy files and let go of the database."""
        self._open.close()


def configuration(settings: Settings) -> dict[str, Any]:
    """Return Celery's settings; the reasons are Celery's behaviour on Redis, measured."""
    return {
        "broker_url": settings.broker_url,
        "task_default_queue": settings.queue,
        # Acknowledged after the commit: a worker that dies has decided nothing, and its jobs come back.
        "task_acks_late": True,
        "task_ignore_result": True,
        "accept_content": ["json"],
        "task_serializer": "json",
        # A forked child hangs once its parent has run torch, and processes cannot share a forward pass.
        "worker_pool": "threads",
        "worker_concurrency": settings.concurrency,
        # Few in hand beyond those at work: what waits here past the visibility timeout is delivered again.
        "worker_prefetch_multiplier": 1,
        "worker_hijack_root_logger": False,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_transport_options": {
            "visibility_timeout": VISIBILITY_TIMEOUT_SECONDS,
            # Without these two, redelivery waits for a sweep every 100 s, whatever the timeout says.
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
            "health_check_interval": 10,
            "socket_timeout": 30,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
        },
    }


def create_app() -> ModerationApp:
    """Return the application; it reads the environment when Celery first asks for its configuration."""
    app = ModerationApp("moderation")
    app.add_defaults(lambda: _or_leave(lambda: configuration(app.settings)))
    return app


def _or_leave(work: Callable[[], Result]) -> Result:
    """Do what a worker needs to start; where that fails, leave in one clear line."""
    try:
        return work()
    except ModerationError as error:
        hint = f"\n  hint: {error.hint}" if error.hint else ""
        raise SystemExit(f"error: {error.message}{hint}") from None


@worker_init.connect
def _open_service(sender: Any, **_: Any) -> None:
    """Load model and policies before the first job is claimed, and leave in one clear line if that fails."""
    if not isinstance(sender.app, ModerationApp):
        return
    hide_queries()
    _or_leave(lambda: _require_threads(sender.pool_cls))
    service = _or_leave(lambda: sender.app.service)
    log.info("model %s ready, policies %s", service.encoder.name, ", ".join(service.policies.names))


def _require_threads(pool: Any) -> None:
    """Refuse a pool in which the model would hang, or be loaded once for each job in hand."""
    if not issubclass(get_implementation(pool), TaskPool):
        name = pool if isinstance(pool, str) else pool.__module__
        raise UsageError(
            f"workers run in threads that share one model, not in the pool {name!r}",
            hint="start `moderate worker`, or `celery -A worker.tasks worker -P threads`",
        )


@worker_shutdown.connect
def _close_service(sender: Any, **_: Any) -> None:
    if isinstance(sender.app, ModerationApp):
        sender.app.close_service()
