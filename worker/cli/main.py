"""The command `moderate`: puts the commands together and turns errors into a line and an exit code."""

import io
import logging
import sys
from typing import Annotated

import typer

from worker import __version__
from worker.cli import (
    api_key,
    bench,
    classify,
    database,
    decisions,
    demo,
    dropped,
    explain,
    model,
    outbox,
    policy,
    review,
    reviewer,
    scan,
    schedule,
    status,
    submit,
    web,
    worker,
)
from worker.cli.console import print_error
from worker.errors import ModerationError

EPILOG = (
    "Exit codes: 0 done, 1 it found problems, 2 wrong usage, 3 something it needs is unreachable. "
    "Settings are environment variables, listed in README.md."
)

app = typer.Typer(
    name="moderate",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    epilog=EPILOG,
    help="Judge uploaded pictures zero-shot, by policies written in YAML.",
)
app.command("demo", epilog=demo.EPILOG)(demo.demo)
app.command("classify", epilog=classify.EPILOG)(classify.classify)
app.command("scan", epilog=scan.EPILOG)(scan.scan)
app.command("submit", epilog=submit.EPILOG)(submit.submit)
app.command("worker", epilog=worker.EPILOG)(worker.worker)
app.command("schedule", epilog=schedule.EPILOG)(schedule.schedule)
app.command("web", epilog=web.EPILOG)(web.web)
app.command("status", epilog=status.EPILOG)(status.status)
app.command("decisions", epilog=decisions.EPILOG)(decisions.decisions)
app.command("explain", epilog=explain.EPILOG)(explain.explain)
app.command("bench", epilog=bench.EPILOG)(bench.bench)
app.add_typer(policy.app, name="policy")
app.add_typer(model.app, name="model")
app.add_typer(outbox.app, name="outbox")
app.add_typer(dropped.app, name="dropped")
app.add_typer(review.app, name="review")
app.add_typer(database.app, name="db")
app.add_typer(api_key.app, name="api-key")
app.add_typer(reviewer.app, name="reviewer")


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"moderation-worker {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def run() -> None:
    """Run the command line and exit; an error a person can act on is a message, never a traceback."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A file's name need not be valid Unicode; showing it must not fail.
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except ModerationError as error:
        print_error(error)
        sys.exit(error.exit_code)
