"""`moderate reviewer`: the accounts of the review desk."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from getpass import getpass
from typing import Annotated

import typer

from worker.cli.terminal.console import messages, plain_table, results
from worker.domain.accounts.reviewer import (
    MAX_PASSWORD_CHARACTERS,
    Reviewer,
    Role,
    check_password,
    reviewer_name,
)
from worker.errors import UsageError
from worker.settings import Settings
from worker.store.upgrade import schema
from worker.usecases.accounts.manage_reviewers import Cap, ManageReviewers
from worker.wiring.components import open_database

app = typer.Typer(no_args_is_help=True, help="The people at the review desk.")

_EXIT_CODES = "Exit codes: 0 done, 2 wrong usage, 3 the database is not usable."
#: The value that clears an option.
_NONE = "none"

Name = Annotated[str, typer.Argument(metavar="NAME", help="As `list` shows it.")]
RoleOption = Annotated[Role | None, typer.Option(help="What the person may do.")]
OptOuts = Annotated[
    str | None,
    typer.Option(
        metavar="LABELS", help="Labels whose pictures the person is not shown, separated by commas, or none."
    ),
]
CapOption = Annotated[
    str | None, typer.Option(metavar="NUMBER", help="Severe pictures a day at most, or none for no limit.")
]


@app.command(
    epilog=f"""Examples:

[bold]moderate reviewer add ada[/]

[bold]moderate reviewer add lea --role lead < password.txt[/]

[bold]moderate reviewer add ada@example.com --sso --opt-out gore,weapons --severe-per-day 40[/]

The password is prompted for, or read from standard input: everybody on the machine can see arguments.
{_EXIT_CODES}"""
)
def add(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="ada, or ada@example.com; capitals do not count.")
    ],
    role: Annotated[Role, typer.Option(help="What the person may do.")] = Role.REVIEWER,
    opt_out: OptOuts = None,
    severe_per_day: CapOption = None,
    sso: Annotated[
        bool,
        typer.Option("--sso", help="No password: the person signs in through the single sign-on proxy only."),
    ] = False,
) -> None:
    """Create an account."""
    new = Reviewer(reviewer_name(name), role, _labels(opt_out), _most(severe_per_day))
    with _accounts() as accounts:
        accounts.require_new(new.name)
        accounts.add(new, None if sso else _new_password())
    results().print(f"{new.name} may sign in to the review desk as {role.value}")


@app.command("list", epilog=_EXIT_CODES)
def show() -> None:
    """Show all accounts, disabled ones too; never their passwords."""
    with _accounts() as accounts:
        found = accounts.everyone()
    table = plain_table("name", "role", "signs in by", "opted out of", "severe a day", "created", "disabled")
    for one in found:
        table.add_row(
            one.reviewer.name,
            one.reviewer.role.value,
            "password" if one.password_hash else "sign-on proxy",
            ", ".join(sorted(one.reviewer.opt_outs)),
            "" if one.reviewer.severe_per_day is None else str(one.reviewer.severe_per_day),
            _time(one.created_at),
            _time(one.disabled_at),
        )
    results().print(table)


@app.command(epilog=_EXIT_CODES)
def disable(name: Name) -> None:
    """Disable an account and end its sessions; the person's verdicts stay."""
    with _accounts() as accounts:
        account = accounts.disable(name)
    results().print(f"{account} is disabled; moderate reviewer enable {account} enables it again")


@app.command(epilog=_EXIT_CODES)
def enable(name: Name) -> None:
    """Enable a disabled account."""
    with _accounts() as accounts:
        account = accounts.enable(name)
    results().print(f"{account} may sign in again")


@app.command(
    epilog=f"""Examples:

[bold]moderate reviewer password ada[/]

[bold]moderate reviewer password ada < password.txt[/]

{_EXIT_CODES}"""
)
def password(name: Name) -> None:
    """Set a new password, and end all sessions of the account."""
    with _accounts() as accounts:
        account = accounts.known(name)
        accounts.set_password(account, _new_password())
    results().print(f"{account} has a new password, and has to sign in with it")


@app.command(
    "set",
    epilog=f"""Examples:

[bold]moderate reviewer set ada --role lead[/]

[bold]moderate reviewer set ada --opt-out gore,weapons --severe-per-day 40[/]

[bold]moderate reviewer set ada --opt-out none --severe-per-day none[/]

{_EXIT_CODES}""",
)
def change(
    name: Name, role: RoleOption = None, opt_out: OptOuts = None, severe_per_day: CapOption = None
) -> None:
    """Change what a person may do and is shown; takes effect with their next request."""
    if role is None and opt_out is None and severe_per_day is None:
        raise UsageError("nothing to change", hint="give --role, --opt-out or --severe-per-day")
    opt_outs = None if opt_out is None else _labels(opt_out)
    cap = None if severe_per_day is None else Cap(_most(severe_per_day))
    with _accounts() as accounts:
        account = accounts.change(name, role=role, opt_outs=opt_outs, cap=cap)
    results().print(f"{account} is changed")


def _new_password() -> str:
    """Prompt for a password twice, or read one line from standard input if it is not a terminal."""
    if sys.stdin.isatty():
        given = getpass("Password: ", stream=sys.stderr)
        check_password(given)
        if getpass("Again: ", stream=sys.stderr) != given:
            raise UsageError("the passwords differ")
        return given
    messages().print("reading the password from standard input", soft_wrap=True)
    given = sys.stdin.readline(2 * MAX_PASSWORD_CHARACTERS).rstrip("\r\n")
    check_password(given)
    return given


def _labels(text: str | None) -> frozenset[str]:
    if text is None or text.strip() == _NONE:
        return frozenset()
    return frozenset(name.strip() for name in text.split(",") if name.strip())


def _most(text: str | None) -> int | None:
    if text is None or text.strip() == _NONE:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 7):
        raise UsageError(f"{text!r} is not a number of pictures", hint="a whole number from 0, or none")
    return int(text)


@contextmanager
def _accounts() -> Iterator[ManageReviewers]:
    database = open_database(Settings.read())
    try:
        schema.check(database)
        yield ManageReviewers(database)
    finally:
        database.dispose()


def _time(time: datetime | None) -> str:
    return f"{time:%Y-%m-%d %H:%M}" if time else ""
