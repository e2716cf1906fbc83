"""The command `moderate`: loads subcommands lazily; errors are one line and an exit code."""

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
    "Settings are environment variables; moderate init writes a file with all of them."
)

#: Each command's module and help; modules are imported when they run, since some take seconds to import.
COMMANDS: Final = {
    "demo": (
        "pictures.demo",
        "See uploads judged by a real worker through a real Redis, then add a category, then review.",
    ),
    "init": (
        "operations.init",
        "Write a folder to start from: a policy, settings, Compose and systemd files.",
    ),
    "classify": (
        "pictures.classify",
        "Rank labels on pictures: which of these is it? Whether it is there at all, [bold]scan[/] says.",
    ),
    "scan": ("pictures.scan", "Judge files by a policy here and now; nothing is enqueued or stored."),
    "evaluate": (
        "pictures.evaluate",
        "Measure a policy on pictures whose labels are known: recall, false positives, thresholds.",
    ),
    "submit": (
        "pictures.submit",
        "Enqueue pictures; workers judge them, [bold]moderate decisions[/] shows what they decided.",
    ),
    "worker": ("operations.worker", "Judge what is enqueued, until stopped."),
    "schedule": (
        "operations.schedule",
        "Republish due submissions, deliver events and delete expired records; judges nothing.",
    ),
    "web": ("operations.web", "Serve the HTTP API and the review desk."),
    "status": (
        "operations.status",
        "Show what is wrong with the deployment and what to run next; then the backlog and recent counts.",
    ),
    "decisions": (
        "pictures.decisions",
        "Show decisions with the action now in force, their scores and reasons, newest first.",
    ),
    "explain": (
        "pictures.explain",
        "Recompute a submission's decisions from policy text and stored embedding, and compare.",
    ),
    "bench": (
        "operations.bench",
        "Measure how fast this machine is with your model and settings, and recommend settings.",
    ),
    "policy": ("policy.policy", "Commands for those who write policies."),
    "model": ("model.model", "Commands for those who choose a model."),
    "outbox": ("operations.outbox", "The events that notify the platform of decisions."),
    "dropped": ("operations.dropped", "The messages that workers could not process."),
    "review": (
        "review.review",
        "The review queue. Anyone with access to this shell may act as any reviewer (--as).",
    ),
    "db": ("operations.database", "The database's tables."),
    "api-key": ("operations.api_key", "Keys to the HTTP API; each sees all submissions."),
    "reviewer": ("review.reviewer", "The people at the review desk."),
}


class _PlainFlags:
    """Shows flags in the help as `--json`, not as `--json <bool>`."""

    def get_params(self, context: Any) -> list[Any]:
        """Return the options and arguments."""
        found: list[Any] = super().get_params(context)  # type: ignore[misc]  # from the other base class
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
    """A command whose module is imported when it runs; its name and help are known before."""

    def load(self) -> Any:
        """Import and return the command."""
        module = import_module(f"worker.cli.{COMMANDS[str(self.name)][0]}")
        loaded = typer.Typer(rich_markup_mode="rich")
        if hasattr(module, "app"):
            loaded.add_typer(module.app, name=self.name, cls=_Group)
            _show_plain_flags(module.app)
        else:
            run = getattr(module, str(self.name))
            loaded.command(self.name, epilog=module.EPILOG, cls=_Command)(run)
        return typer.main.get_group(loaded).commands[str(self.name)]

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """Let the loaded command parse the arguments."""
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
    """Run the command line and exit; a ModerationError is printed as a message, without a traceback."""
    begin_logs()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # File names need not be valid Unicode; printing one must not fail.
            stream.reconfigure(errors="backslashreplace")
    try:
        if are_json():
            _run_with_json_logs()
        app()
    except ModerationError as error:
        from worker.cli.terminal.console import print_error  # noqa: PLC0415 - rich is only needed for errors

        print_error(error)
        sys.exit(error.exit_code)


def _run_with_json_logs() -> NoReturn:
    """Run the command line and exit; log the errors that typer and Python would print themselves."""
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
        log.critical("the command failed with an unexpected error", exc_info=True)
        sys.exit(1)
    sys.exit(code or 0)
