"""`cli.md`: every command of `moderate`, from its help."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import typer
from rich.text import Text

from docgen import markdown as md
from worker.cli.main import EPILOG, LazyCommand, app

_EXAMPLES: Final = "Examples:"
_COMMAND: Final = "`moderate "
_EXIT_CODES: Final = "Exit codes: "
#: Before each code but the first.
_NEXT_CODE: Final = re.compile(r",\s+(?=\d )")
_COMMON: Final = {"--help"}
#: How typer writes an argument that can be repeated.
_REPEATED: Final = re.compile(r"\{([^}]*)\}\.\.\.")


@dataclass(frozen=True)
class Command:
    """A command or a group of commands, with the context in which its help is made."""

    command: Any
    context: Any

    @property
    def path(self) -> str:
        """Return what people type, such as `moderate policy check`."""
        return str(self.context.command_path)

    @property
    def help(self) -> str:
        """Return the help as Markdown."""
        return md.paragraphs(_plain(self.command.help or ""))

    def subcommands(self) -> Iterator["Command"]:
        """Yield the commands of a group."""
        for name, inner in getattr(self.command, "commands", {}).items():
            loaded = inner.load() if isinstance(inner, LazyCommand) else inner
            yield Command(loaded, loaded.context_class(loaded, info_name=name, parent=self.context))

    def leaves(self) -> Iterator["Command"]:
        """Yield the commands that do something: this one, or those below it."""
        inner = list(self.subcommands())
        if not inner:
            yield self
        for one in inner:
            yield from one.leaves()


def moderate() -> Command:
    """Return the command itself."""
    root = typer.main.get_command(app)
    return Command(root, root.context_class(root, info_name="moderate"))


def page() -> str:
    """Return the page."""
    opening = (
        "The command `moderate` has these commands; each also describes itself: `moderate scan --help`. "
        "Settings come from [environment variables](settings.md)."
    )
    sections = {one.path: _section(one) for one in moderate().subcommands()}
    return md.page("Command line", opening, {"Exit codes": _codes(EPILOG), **sections})


def _section(command: Command) -> str:
    leaves = list(command.leaves())
    if leaves == [command]:
        return _described(command)
    return md.blocks(command.help, *(md.blocks(f"### {leaf.path}", _described(leaf)) for leaf in leaves))


def _described(command: Command) -> str:
    usage = command.command.get_usage(command.context).removeprefix("Usage: ")
    return md.blocks(
        command.help,
        md.fence("text", " ".join(_REPEATED.sub(r"\1", usage).split())),
        _options(command),
        *_epilog(_plain(command.command.epilog or "")),
    )


def _options(command: Command) -> str:
    rows = [
        [md.code(_name(name)), _meaning(help_and_facts, option.help or "")]
        for option in command.command.get_params(command.context)
        if (record := option.get_help_record(command.context))
        for name, help_and_facts in [record]
        if name not in _COMMON
    ]
    return md.table(["argument or option", "meaning"], rows) if rows else ""


def _name(shown: str) -> str:
    """Return an option with the type of its value, or an argument alone."""
    return shown if shown.startswith("-") else shown.partition(" <")[0]


def _meaning(help_and_facts: str, help_: str) -> str:
    """Return the help of an option, and what typer adds: whether it is required, its default, its limits."""
    facts = help_and_facts.removeprefix(help_).strip().removeprefix("[").removesuffix("]")
    shown = f" ({facts.replace('<=x<=', ' to ').replace('x>=', 'at least ')})" if facts else ""
    return md.prose(_plain(help_) + shown)


def _epilog(epilog: str) -> Iterator[str]:
    """Yield the examples, what else is said, and the exit codes."""
    said = [paragraph for paragraph in re.split(r"\n\s*\n", epilog.strip()) if paragraph != _EXAMPLES]
    examples = [one.strip("`") for one in said if one.startswith(_COMMAND)]
    if examples:
        yield md.fence("sh", "\n".join(examples))
    for paragraph in said:
        if paragraph.startswith(_EXIT_CODES):
            yield _codes(paragraph)
        elif not paragraph.startswith(_COMMAND):
            yield md.prose(paragraph)


def _codes(text: str) -> str:
    """Return the exit codes that a text names, as a table."""
    codes = text.partition(_EXIT_CODES)[2].partition(". ")[0].strip().removesuffix(".")
    rows = [one.split(maxsplit=1) for one in _NEXT_CODE.split(codes)]
    return md.table(["exit code", "meaning"], [[code, md.prose(meaning)] for code, meaning in rows])


def _plain(markup: str) -> str:
    """Return a help text with what is bold between backticks, and without other styles."""
    text = Text.from_markup(markup)
    bold = [span for span in text.spans if span.style == "bold"]
    plain = text.plain
    for span in sorted(bold, key=lambda one: one.start, reverse=True):
        plain = f"{plain[: span.start]}`{plain[span.start : span.end]}`{plain[span.end :]}"
    return plain
