"""`moderate schedule`: runs the periodic tasks in a separate process, until stopped."""

import signal
from threading import Event

from worker.cli.terminal.console import announce
from worker.observability.logs import set_up_logs
from worker.observability.metrics import Metrics
from worker.settings import Settings
from worker.wiring.observability import serving_metrics
from worker.wiring.schedule import open_schedule

EPILOG = """Examples:

[bold]MODERATION_SCHEDULE_IN_WORKERS=false moderate worker[/]

[bold]moderate schedule[/]

Workers do it too unless MODERATION_SCHEDULE_IN_WORKERS is false; several processes may at the same time.
The broker may be unavailable. SIGTERM and Ctrl-C stop it.
Exit codes: 0 stopped, 2 wrong usage, 3 the database is not usable."""


def schedule() -> None:
    """Republish due submissions, deliver events and delete expired records; judges nothing."""
    settings, metrics, stopped = Settings.read(), Metrics(), Event()
    set_up_logs(settings)
    with serving_metrics(settings, metrics), open_schedule(settings, metrics) as database:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopped.set())
        announce(f"database {database.describe}, queue {settings.queue}; the schedule runs")
        stopped.wait()
