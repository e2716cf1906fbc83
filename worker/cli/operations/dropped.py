"""`moderate dropped`: the messages that workers could not process."""

from typing import Annotated

import typer
from rich.text import Text

from worker.cli.terminal.console import plain_table, print_json, results
from worker.settings import Settings
from worker.store.submissions import dropped_messages
from worker.store.upgrade import schema
from worker.usecases.operations.worker_reports import WorkerReports
from worker.wiring.components import open_database

app = typer.Typer(no_args_is_help=True, help="The messages that workers could not process.")


@app.callback()
def dropped() -> None:
    """Show the messages that workers could not process."""


@app.command(
    "list",
    epilog=f"""Examples:

[bold]moderate dropped list[/]

[bold]moderate dropped list --limit 5 --json[/]

The newest {dropped_messages.MOST_KEPT:,} are kept, for {dropped_messages.KEPT_FOR.days} days.
The beginning of each is kept, without the queries of URLs.
Exit codes: 0 done, 2 wrong usage, 3 the database is not usable.""",
)
def show(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show dropped messages, newest first: when, why, and how they begin."""
    database = open_database(Settings.read())
    try:
        schema.check(database)
        found = WorkerReports(database).dropped(limit)
    finally:
        database.dispose()
    if as_json:
        print_json(
            [
                {
                    "dropped_at": one.dropped_at and one.dropped_at.isoformat(),
                    "reason": one.reason.value,
                    "problem": one.problem,
                    "size_bytes": one.size_bytes,
                    "excerpt": one.excerpt,
                }
                for one in found
            ]
        )
        return
    table = plain_table("dropped at", "reason", "problem", "begins")
    for one in found:
        # Escaped, as the text is untrusted.
        words = [
            f"{one.dropped_at:%Y-%m-%d %H:%M:%S}",
            one.reason.value,
            one.problem,
            ascii(one.excerpt[:200])[1:-1],
        ]
        table.add_row(*map(Text, words))
    results().print(table)
