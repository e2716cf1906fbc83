"""`moderate worker`: run a worker process until it is told to stop."""

import logging
from typing import Annotated

import typer

from worker.cli.console import messages
from worker.client import Client
from worker.settings import Settings

EPILOG = """Examples:

[bold]moderate worker[/]

[bold]MODERATION_MODEL=/models/siglip2 MODERATION_POLICY=default moderate worker --concurrency 32[/]

SIGTERM finishes the jobs in hand and leaves; so does Ctrl-C. Start as many processes as there is room for
models.
Exit codes: 0 stopped, 1 a policy has problems, 2 wrong usage, 3 broker, database or model is not usable."""


def worker(
    concurrency: Annotated[
        int | None, typer.Option(help="Jobs in hand at once instead of MODERATION_CONCURRENCY.")
    ] = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
) -> None:
    """Judge what is enqueued, until stopped."""
    from worker.tasks import app  # noqa: PLC0415 - Celery's application is this command's alone

    level = logging.getLevelNamesMapping().get(log_level.upper())
    if level is None:
        raise typer.BadParameter(f"{log_level!r} is not a level", param_hint="--log-level")
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True)
    app.settings = Settings.read(**({"concurrency": concurrency} if concurrency else {}))
    with Client(app.settings.broker_url, queue=app.settings.queue) as client:
        client.ping()
    with messages().status(f"loading the model {app.settings.model}"):
        service = app.service
    messages().print(
        f"model {service.encoder.name}, policies {', '.join(service.policies.names)}, "
        f"database {service.database.describe}; waiting for jobs on {app.settings.queue}"
    )
    app.worker_main(
        ["worker", "--pool=threads", f"--loglevel={log_level}", "--without-gossip", "--without-mingle"]
    )
