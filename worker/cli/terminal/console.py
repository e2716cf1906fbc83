"""Output of the command line: results on standard output, progress and messages on standard error."""

import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from worker.domain.policies.policy import Action
from worker.errors import ModerationError
from worker.observability.logs import are_json
from worker.printable import UNSAFE, escape, one_line, printable, printable_json

log = logging.getLogger("worker.cli")

Item = TypeVar("Item")

ACTION_STYLES = {Action.ALLOW: "green", Action.REVIEW: "yellow", Action.BLOCK: "bold red"}


class SafeConsole(Console):
    """A console that escapes control characters and interprets no markup or emoji.

    Names, references and phrases may contain anything, so colours are given as `Text`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a text in the form in which it is printed and measured."""
        return super().render_str(printable(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """Yield the segments, also those inside tables and panels."""
        shown = _printable_text(renderable) if isinstance(renderable, Text) else renderable
        return iter(super().render(shown, options))


def results() -> Console:
    """Return the console for results; piped output is wide, so that nothing is cut."""
    return SafeConsole(width=None if sys.stdout.isatty() else 200)


def messages() -> Console:
    """Return the console for progress, notes and errors."""
    return SafeConsole(stderr=True)


def print_json(value: Any) -> None:
    """Print `value` as indented JSON."""
    sys.stdout.write(printable_json(value, indent=2) + "\n")


def print_error(error: ModerationError) -> None:
    """Print an error and its hint; as a log line if logs are JSON."""
    if are_json():
        log.critical("%s", f"{error.message}; {error.hint}" if error.hint else error.message)
        return
    console = messages()
    console.print(Text.assemble(("error: ", "bold red"), error.message), soft_wrap=True)
    if error.hint:
        console.print(Text.assemble(("  hint: ", "bold"), error.hint), soft_wrap=True)


def announce(text: str) -> None:
    """Print a message of a long-running process; as a log line if logs are JSON."""
    if are_json():
        log.info("%s", text)
    else:
        messages().print(text, soft_wrap=True)


def track(items: Iterable[Item], *, total: int, what: str) -> Iterator[Item]:
    """Yield the items while a transient progress bar is shown; without a terminal nothing is."""
    with progress_bar() as progress:
        yield from progress.track(items, total=total, description=what)


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a callback for the amount done and the total; shows a progress bar."""
    with progress_bar() as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextmanager
def downloading(what: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a callback for the bytes downloaded and their total; shows a progress bar."""
    with progress_bar(DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def progress_bar(*figures: ProgressColumn) -> Progress:
    """Return a progress bar on standard error, shown only on a terminal."""
    console = messages()
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=32),
        *(figures or (MofNCompleteColumn(), TimeElapsedColumn())),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


class PlainTable(Table):
    """A table that keeps line breaks out of its cells, whatever references and file names contain."""

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        """Add a row; line breaks and control characters in text are escaped."""
        super().add_row(*(one_line(cell) if isinstance(cell, str) else cell for cell in cells), **options)


def plain_table(*columns: str) -> Table:
    """Return an empty table in the common style; cells are not parsed as markup."""
    table = PlainTable(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def action_text(action: Action) -> Text:
    """Return the action in its colour."""
    return Text(action.value, ACTION_STYLES[action])


def _printable_text(text: Text) -> Text:
    """Return a text with its styles, with control characters escaped."""
    if not UNSAFE.search(text.plain):
        return text
    shown, end = text.blank_copy(), 0
    for found in UNSAFE.finditer(text.plain):
        shown.append_text(text[end : found.start()])
        shown.append(escape(found[0]))
        end = found.end()
    return shown.append_text(text[end:])
