"""Prints the results as a table, or writes them as JSON."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict

from faults.fault import Outcome
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

COLOURS = {"holds": "green", "known gap": "yellow", "skipped": "yellow"}
NUMBERS = ("rounds", "submitted", "decided", "lost", "doubled", "again", "s to heal")
#: Width if the output is a file, or a terminal too narrow for the table.
WIDTH = 132


def show(outcomes: Sequence[Outcome]) -> None:
    """Print one row for each fault and database, followed by the notes."""
    console = Console()
    console = console if console.width >= WIDTH else Console(width=WIDTH)
    console.print(table(outcomes))


def table(outcomes: Sequence[Outcome]) -> RenderableType:
    """Return a table with one row for each fault and database, followed by the notes."""
    made = Table(title="Faults, and the verdict of the oracle", title_justify="left")
    made.add_column("fault")
    made.add_column("database")
    for name in NUMBERS:
        made.add_column(name, justify="right", no_wrap=True)
    made.add_column("verdict", no_wrap=True)
    for one in outcomes:
        heal = "" if one.seconds_to_heal is None else f"{one.seconds_to_heal:.1f}"
        numbers = (one.rounds, one.submitted, one.decided, one.lost, one.doubled, one.published_again)
        verdict = Text(one.verdict, COLOURS.get(one.verdict, "red"))
        made.add_row(one.fault, one.database, *map(str, numbers), heal, verdict)
    notes = [f"{one.fault}, {one.database}: {note}" for one in outcomes for note in one.notes]
    return Group(made, *map(Text, notes))


def as_json(outcomes: Sequence[Outcome], seconds: float) -> str:
    """Return the results, and the machine that they were measured on, as JSON."""
    found = {
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "python": platform.python_version(),
        "seconds": round(seconds),
        "faults": [asdict(one) for one in outcomes],
    }
    return json.dumps(found, indent=2) + "\n"
