"""The command `moderate`: finds the command that is asked for; an error is a line and an exit code."""

import io
import logging
import sys
from importlib import import_module
from typing import Annotated, Any, Final, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException

from worker import __version__
from worker.errors import ModerationError
from worker.observability.logs import are_json, begin_logs

log = logging.getLogger(__name__)

EPILOG = (
    "Exit codes: 0 done, 1 it found problems, 2 wrong usage, 3 something it needs is unreachable. "
    "Settings are environment variables, listed in README.md."
)

#: Each command's module and what it does; imported when it runs, since some take seconds to import.
COMMANDS: Final = {
    "demo": (
        "pictures.demo",
        "See uploads judged by a real worker through a real Redis, then add a category, then review.",
    ),
    "classify": (
        "pictures.classify",
        "Rank labels on pictures: which of these is it? Whether it is there at all, [bold]scan[/] says.",
    ),
    "scan": ("pictures.scan", "Judge files by a policy here and now; nothing is enqueued or stored."),
    "submit": (
        "pictures.submit",
        "Enqueue pictures; workers judge them, [bold]moderate decisions[/] shows what they decided.",
    ),
    "worker": ("operations.worker", "Judge what is enqueued, until stopped."),
    "schedule": (
        "operations.schedule",
        "Publish again what is due, tell the platform of decisions and forget what is over; judges nothing.",
    ),
    "web": ("operations.web", "Serve the HTTP API and the review desk."),
    "status": (
        "operations.status",
        "Show whether all is well, or what is not and what to run next; then what waits and what happened.",
    ),
    "decisions": (
        "pictures.decisions",
        "Show decisions with what is in force now, their scores and reasons, newest first.",
    ),
    "explain": (
        "pictures.explain",
        "Make the decisions on a submission again from policy text and stored embedding, and compare.",
    ),
    "bench": (
        "operations.bench",
        "Measure how fast this machine is with your model and settings, and say what to set.",
    ),
    "policy": ("policy.policy", "Commands for those who write policies."),
    "model": ("model.model", "Commands for those who choose a model."),
    "outbox": ("operations.outbox", "What the platform is told of decisions."),
    "dropped": ("operations.dropped", "The messages that no worker could work on."),
    "review": (
        "review.review",
        "The queue of questions for people. Whoever has this shell is trusted to be whom --as names.",
    ),
    "db": ("operations.database", "The database's tables."),
    "api-key": ("operations.api_key", "Keys to the HTTP API; each sees all submissions."),
    "reviewer": ("review.reviewer", "The people at the review desk."),
}


class _PlainFlags:
    """Shows `--json` in the help as it is typed, and not as `--json <bool>`."""

    def get_params(self, context: Any) -> list[Any]:
        """Return the options and arguments."""
        found: list[Any] = super().get_params(context)  # type: ignore[misc]  # of the class beside this one
        for option in found:
            if getattr(option, "is_flag", False):
                option.metavar = ""
        return found


class _Command(_PlainFlags, TyperCommand):
    pass


class _Group(_PlainFlags, TyperGroup):
    pass


def _show_plain_flags(group: typer.Typer) -> None:
    for command in group.registered_commands:
        command.cls = _Command
    for inner in group.registered_groups:
        inner.cls = _Group
        if inner.typer_instance:
            _show_plain_flags(inner.typer_instance)


class LazyCommand(TyperCommand):
    """A command that is imported when it runs; its name and its help are known before."""

    def load(self) -> Any:
        """Return the command itself."""
        module = import_module(f"worker.cli.{COMMANDS[str(self.name)][0]}")
        whole = typer.Typer(rich_markup_mode="rich")
        if hasattr(module, "app"):
            whole.add_typer(module.app, name=self.name, cls=_Group)
            _show_plain_flags(module.app)
        else:
            run = getattr(module, str(self.name))
            whole.command(self.name, epilog=module.EPILOG, cls=_Command)(run)
        return typer.main.get_group(whole).commands[str(self.name)]

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """Let the command itself read what it is called with."""
        return self.load().make_context(*arguments, **options)


class _Commands(_Group):
    def __init__(self, *, commands: Any = None, **options: Any) -> None:
        lazy = {name: LazyCommand(name, help=does) for name, (_, does) in COMMANDS.items()}
        super().__init__(commands={**(commands or {}), **lazy}, **options)


app = typer.Typer(
    name="moderate",
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    epilog=EPILOG,
    help="Judge uploaded pictures zero-shot, by policies written in YAML.",
)


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
    begin_logs()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A file's name need not be valid Unicode; showing it must not fail.
            stream.reconfigure(errors="backslashreplace")
    try:
        if are_json():
            _run_for_machines()
        app()
    except ModerationError as error:
        from worker.cli.terminal.console import print_error  # noqa: PLC0415 - rich is needed when something went wrong

        print_error(error)
        sys.exit(error.exit_code)


def _run_for_machines() -> NoReturn:
    """Run the command line and exit; what typer and Python would write themselves is a line of the log."""
    try:
        code = app(standalone_mode=False)
    except TyperException as error:
        log.critical("%s", error.format_message())
        sys.exit(error.exit_code)
    except typer.Abort:
        sys.exit(1)
    except (ModerationError, ModuleNotFoundError):
        raise
    except Exception:
        log.critical("an unforeseen error ends this command", exc_info=True)
        sys.exit(1)
    sys.exit(code or 0)
