"""`moderate db`: creates, upgrades and checks the database's tables."""

import typer

from worker.cli.terminal.console import results
from worker.settings import Settings
from worker.store.upgrade import schema
from worker.wiring.components import open_database

app = typer.Typer(no_args_is_help=True, help="The database's tables.")

EPILOG = """Examples:

[bold]moderate db upgrade[/]

Exit codes: 0 done, 2 wrong usage, 3 the database is not usable."""


@app.command(epilog=EPILOG)
def upgrade() -> None:
    """Create the tables, or upgrade them to this version; safe to repeat, and to run concurrently."""
    database = open_database(Settings.read())
    try:
        schema.upgrade(database)
        results().print(f"{database.describe}: tables are up to date")
    finally:
        database.dispose()


@app.command(
    epilog="Exit codes: 0 the tables are up to date, 2 wrong usage, 3 they are not or cannot be read."
)
def check() -> None:
    """Check that the tables are those this version needs, with every constraint; change nothing."""
    database = open_database(Settings.read())
    try:
        schema.check(database)
        results().print(f"{database.describe}: tables are up to date")
    finally:
        database.dispose()
