"""`moderate schedule`: what is done beside the judging, in a process of its own, until it is told to stop."""

import logging
import signal
import threading
from typing import Annotated

import typer

from worker.cli.console import messages
from worker.cli.worker import LogLevel
from worker.logs import hide_queries
from worker.settings import Settings
from worker.wiring import open_schedule

EPILOG = """Examples:

[bold]moderate schedule[/]

It publishes again what is not decided in time and tells the platform of decisions. Workers do so themselves
unless MODERATION_SCHEDULE_IN_WORKERS is false: then run one of these, or several.
SIGTERM finishes what is under way and leaves; so does Ctrl-C.
Exit codes: 0 stopped, 2 wrong usage, 3 the database is not usable."""


def schedule(
    log_level: Annotated[LogLevel, typer.Option(help="How much the log says.")] = LogLevel.INFO,
) -> None:
    """Do what is done beside the judging, until stopped."""
    settings = Settings.read()
    logging.basicConfig(
        level=log_level.value.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True
    )
    hide_queries()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with open_schedule(settings) as database:
        messages().print(
            f"database {database.describe}, queue {settings.queue}; the schedule runs", soft_wrap=True
        )
        stop.wait()
