"""Where the command line writes: results to standard output, everything about the work to standard error."""

import json
import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from worker.domain.policy import Action
from worker.errors import ModerationError
from worker.logs import are_json

log = logging.getLogger("worker.cli")

Item = TypeVar("Item")

ACTION_STYLES = {Action.ALLOW: "green", Action.REVIEW: "yellow", Action.BLOCK: "bold red"}


def results() -> Console:
    """Return the console of what was asked for; piped output is wide, so that nothing is cut.

    What is printed is shown as it is: names and phrases may hold brackets, so colour comes as `Text`.
    """
    return Console(width=None if sys.stdout.isatty() else 200, markup=False, highlight=False)


def messages() -> Console:
    """Return the console of progress, notes and errors."""
    return Console(stderr=True, markup=False, highlight=False)


def print_json(value: Any) -> None:
    """Print `value` as indented JSON."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def print_error(error: ModerationError) -> None:
    """Print what went wrong and the way out; as a line of the log where machines read it."""
    if are_json():
        log.critical("%s", f"{error.message}; {error.hint}" if error.hint else error.message)
        return
    console = messages()
    console.print(Text.assemble(("error: ", "bold red"), error.message), soft_wrap=True)
    if error.hint:
        console.print(Text.assemble(("  hint: ", "bold"), error.hint), soft_wrap=True)


def announce(text: str) -> None:
    """Say what a process that stays does; as a line of the log where machines read it."""
    if are_json():
        log.info("%s", text)
    else:
        messages().print(text, soft_wrap=True)


def track(items: Iterable[Item], *, total: int, what: str) -> Iterator[Item]:
    """Yield the items under a progress bar that leaves nothing behind; silent where nobody watches."""
    with progress_bar() as progress:
        yield from progress.track(items, total=total, description=what)


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """Yield what a long task tells how much is done, and of how much; shows a progress bar meanwhile."""
    with progress_bar() as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def progress_bar() -> Progress:
    """Return a progress bar on standard error, shown only on a terminal."""
    console = messages()
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=32),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def plain_table(*columns: str) -> Table:
    """Return an empty table in the style of every command; text cells are shown as they are."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def action_text(action: Action) -> Text:
    """Return the action in its colour."""
    return Text(action.value, ACTION_STYLES[action])
