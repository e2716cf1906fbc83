"""Inject every fault into real servers and workers, and print the findings of the oracle.

    PYTHONPATH=tests python -m faults [--only WORD] [--rounds N] [--database NAME] [--json FILE]

Exit code 1 if anything accepted was lost, decided twice or left claimed; 2 for wrong usage.
"""

import shutil
import signal
import tempfile
import time
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from faults.fault import Fault, Outcome
from faults.report import as_json, show
from faults.scene import POSTGRESQL, SQLITE
from faults.suite import chosen, run_on
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


class Databases(StrEnum):
    """The databases to run the faults on."""

    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"
    BOTH = "both"


def main(  # noqa: PLR0913, PLR0917 - the options of a command
    only: Annotated[list[str] | None, typer.Option(help="Faults with this in their name.")] = None,
    rounds: Annotated[
        int | None, typer.Option(min=1, help="Rounds of every fault, instead of its default.")
    ] = None,
    database: Annotated[Databases, typer.Option(help="Database of the decisions.")] = Databases.BOTH,
    json: Annotated[Path | None, typer.Option(help="Also write the table to this file, as JSON.")] = None,
    keep: Annotated[Path | None, typer.Option(help="Keep logs and databases in this new folder.")] = None,
    names: Annotated[bool, typer.Option("--list", help="List the faults and exit.")] = False,
) -> None:
    """Inject every fault into real servers and workers, and print the findings of the oracle."""
    faults = chosen(only or [])
    if not faults:
        raise typer.BadParameter(f"no fault has {' or '.join(only or [])} in its name; see --list")
    if names:
        typer.echo("\n".join(one.name for one in faults))
        return
    # Any signal must stop servers and workers in order; a shell's background job ignores Ctrl-C by default.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)
    folder = keep or Path(tempfile.mkdtemp(prefix="faults-"))
    started = time.monotonic()
    databases = [database] if database is not Databases.BOTH else [SQLITE, POSTGRESQL]
    outcomes: list[Outcome] = []
    try:
        for name in databases:
            outcomes += _run(faults, name, folder, rounds)
            if json:
                # After each database: a run takes an hour, and may be stopped.
                json.write_text(as_json(outcomes, time.monotonic() - started), encoding="utf-8")
    finally:
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    show(outcomes)
    raise typer.Exit(any(one.is_failure for one in outcomes))


def _run(faults: Sequence[Fault], database: str, folder: Path, rounds: int | None) -> list[Outcome]:
    total = sum(database in one.databases for one in faults)
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("", total=total)

        def done(row: Outcome) -> None:
            progress.advance(bar)
            heal = f", healed in {row.seconds_to_heal:.0f} s" if row.seconds_to_heal else ""
            progress.console.print(f"{row.fault}, {row.database}: {row.verdict}{heal}", highlight=False)

        def announce(what: str) -> None:
            progress.update(bar, description=what)

        return run_on(database, faults, folder, rounds=rounds, announce=announce, done=done)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    typer.run(main)
