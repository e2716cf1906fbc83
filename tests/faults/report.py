"""The table at the end, for a person, and the same as JSON."""

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
#: Where the output is a file, or a window too narrow for the table.
WIDTH = 132


def show(outcomes: Sequence[Outcome]) -> None:
    """Print one row for each fault and database, and below what else is to be said."""
    console = Console()
    console = console if console.width >= WIDTH else Console(width=WIDTH)
    console.print(table(outcomes))


def table(outcomes: Sequence[Outcome]) -> RenderableType:
    """Return one row for each fault and database, and below it what else is to be said."""
    made = Table(title="Faults, and what the oracle says", title_justify="left")
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
    """Return everything in the table, and what it was measured on."""
    found = {
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "python": platform.python_version(),
        "seconds": round(seconds),
        "faults": [asdict(one) for one in outcomes],
    }
    return json.dumps(found, indent=2) + "\n"
