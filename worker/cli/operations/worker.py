"""`moderate worker`: runs a worker process, until stopped."""

import os
import socket
from enum import StrEnum
from typing import Annotated

import typer
from moderation_client import Client
from rich.text import Text

from worker.cli.terminal.console import announce, messages
from worker.observability.logs import set_up_logs
from worker.settings import Settings

EPILOG = """Examples:

[bold]moderate worker[/]

[bold]MODERATION_MODEL=/models/siglip2 MODERATION_POLICY=default moderate worker --concurrency 32[/]

SIGTERM and Ctrl-C finish the jobs in progress, then stop. One process uses all processors of a machine.
Exit codes: 0 stopped, 1 a policy has problems, 2 wrong usage, 3 broker, database or model is not usable."""


class LogLevel(StrEnum):
    """The log level."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def worker(
    concurrency: Annotated[
        int | None, typer.Option(min=1, help="Concurrent jobs, instead of MODERATION_CONCURRENCY.")
    ] = None,
    log_level: Annotated[
        LogLevel | None, typer.Option(help="Log level, instead of MODERATION_LOG_LEVEL.")
    ] = None,
) -> None:
    """Judge what is enqueued, until stopped."""
    from worker.tasks import app  # noqa: PLC0415 - only this command needs the Celery application

    given = {"concurrency": concurrency, "log_level": log_level and log_level.value}
    app.settings = Settings.read(**{name: value for name, value in given.items() if value is not None})
    set_up_logs(app.settings)
    with Client(app.settings.broker_url, queue=app.settings.queue) as client:
        client.ping()
    with messages().status(Text(f"loading the model {app.settings.model}")):
        service = app.service
    shadows = ", ".join(shadow.policy.name for shadow in service.policies.shadows)
    announce(
        f"model {service.encoder.info.name}, policies {', '.join(service.policies.names)}, "
        + (f"shadows {shadows}, " if shadows else "")
        + f"database {service.database.describe}; waiting for jobs on {app.settings.queue}"
    )
    # Several workers on one machine need different names.
    name = f"moderation-{os.getpid()}@{socket.gethostname()}"
    process = app.Worker(
        pool_cls="threads",
        loglevel=app.settings.log_level.upper(),
        hostname=name,
        without_gossip=True,
        without_mingle=True,
    )
    process.start()
    raise typer.Exit(process.exitcode or 0)
