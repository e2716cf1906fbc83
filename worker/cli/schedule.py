"""`moderate schedule`: what is repeated beside the work, in a process of its own, until told to stop."""

import logging
import signal
from threading import Event

from worker.cli.console import messages
from worker.logs import hide_queries
from worker.metrics import Metrics
from worker.settings import Settings
from worker.wiring import open_schedule

EPILOG = """Examples:

[bold]MODERATION_SCHEDULE_IN_WORKERS=false moderate worker[/]

[bold]moderate schedule[/]

Workers do it too unless they are told not to; any number may at once. The broker may be away meanwhile.
SIGTERM and Ctrl-C stop it.
Exit codes: 0 stopped, 2 wrong usage, 3 the database is not usable."""


def schedule() -> None:
    """Publish again what was not decided in time, without judging anything."""
    settings, metrics, stopped = Settings.read(), Metrics(), Event()
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True
    )
    hide_queries()
    with (
        metrics.served(settings.metrics_host, settings.metrics_port),
        open_schedule(settings, metrics) as database,
    ):
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopped.set())
        messages().print(f"database {database.describe}, queue {settings.queue}; looking", soft_wrap=True)
        stopped.wait()
