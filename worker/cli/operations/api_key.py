"""`moderate api-key`: manages keys of the HTTP API."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated

import typer

from worker.cli.terminal.console import messages, plain_table, results
from worker.domain.accounts.api_key import Scope
from worker.errors import UsageError
from worker.settings import Settings
from worker.store.upgrade import schema
from worker.usecases.accounts.manage_api_keys import ManageApiKeys
from worker.wiring.components import open_database

app = typer.Typer(no_args_is_help=True, help="Keys to the HTTP API; each sees all submissions.")

_EXIT_CODES = "Exit codes: 0 done, 2 wrong usage, 3 the database is not usable."


@app.command(
    epilog=f"""Examples:

[bold]moderate api-key create upload-service --scope submit[/]

{_EXIT_CODES}"""
)
def create(
    name: Annotated[str, typer.Argument(help="Who holds it.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SCOPES",
            help="What it allows: submit, read, reviews, appeals; separated by commas, or repeat the option. "
            "[dim]\\[default: submit,read][/]",
        ),
    ] = None,
) -> None:
    """Create a key and print it once: only a hash of it is stored."""
    scopes = _scopes(",".join(scope or ["submit,read"]))
    with _keys() as keys:
        new = keys.create(name, scopes)
    typer.echo(new.token)
    messages().print(
        f"key {new.key.id} of {name}; it is not shown again. Clients send it as"
        " `Authorization: Bearer <key>`.",
        soft_wrap=True,
    )


@app.command("list", epilog=_EXIT_CODES)
def show() -> None:
    """Show all keys, revoked ones too; never their secrets."""
    with _keys() as keys:
        found = keys.everyone()
    table = plain_table("id", "name", "scopes", "created", "last used", "revoked")
    for one in found:
        times = (one.created_at, one.last_used_at, one.revoked_at)
        table.add_row(one.key.id, one.key.name, ",".join(sorted(one.key.scopes)), *map(_time, times))
    results().print(table)


@app.command(epilog=_EXIT_CODES)
def revoke(key_id: Annotated[str, typer.Argument(metavar="ID", help="As `list` shows it.")]) -> None:
    """Revoke a key."""
    with _keys() as keys:
        keys.revoke(key_id)
    results().print(f"key {key_id} is revoked")


def _scopes(text: str) -> frozenset[Scope]:
    names = {name.strip() for name in text.split(",") if name.strip()}
    unknown = sorted(names - set(Scope))
    if unknown:
        raise UsageError(f"{unknown[0]!r} is not a scope", hint=f"scopes are {', '.join(Scope)}")
    return frozenset(map(Scope, names))


@contextmanager
def _keys() -> Iterator[ManageApiKeys]:
    database = open_database(Settings.read())
    try:
        schema.check(database)
        yield ManageApiKeys(database)
    finally:
        database.dispose()


def _time(time: datetime | None) -> str:
    return f"{time:%Y-%m-%d %H:%M}" if time else ""
