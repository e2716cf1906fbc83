"""`moderate policy check`: every problem of a policy file at once, and what the model makes of its words."""

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from worker.cli.console import messages, results, track
from worker.domain.policy import Policy
from worker.errors import InvalidPolicyError
from worker.policy_files.parser import read_policy
from worker.settings import Settings
from worker.wiring.parts import open_encoder
from worker.wiring.policies import lint_policy

#: A policy that was read, where from, and its text.
Read = tuple[Policy, Path, str]

EPILOG = """Examples:

[bold]moderate policy check policies/stickers.yaml[/]

[bold]moderate policy check --no-model policies/*.yaml[/]

Exit codes: 0 no problems (there may be warnings), 1 it found problems, 2 wrong usage, 3 the model cannot be
loaded."""


def check(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Policy files.")],
    no_model: Annotated[
        bool, typer.Option("--no-model", help="Only read the files: quick, but without warnings.")
    ] = False,
) -> None:
    """Show every problem of policy files at once, each with its place and a hint.

    The model (MODERATION_MODEL) then reads the phrases: one that it would cut off is a problem; phrases that
    it mistakes for each other are warnings, as is a background that no upload is like, where the database
    can be asked.
    """
    read = _read(files)
    good = [(policy, file) for policy, file, _ in read] if no_model or not read else _lint(read)
    for policy, file in good:
        phrases, tests = len(set(policy.phrases())), len(policy.tests)
        facts = f"{len(policy.labels)} labels, {phrases} phrases, {tests} tests, version {policy.digest[:12]}"
        results().print(Text.assemble((f"{file}: no problems", "green"), f" ({facts})"), soft_wrap=True)
    if len(good) < len(files):
        raise typer.Exit(1)


def _read(files: list[Path]) -> list[Read]:
    """Return the policies of the files that have no problems, and show the problems of the others."""
    read = []
    for file in files:
        try:
            policy, text = read_policy(file)
        except InvalidPolicyError as error:
            messages().print(error.message, soft_wrap=True)
        else:
            read.append((policy, file, text))
    return read


def _lint(read: list[Read]) -> list[tuple[Policy, Path]]:
    """Show what the model finds, and return the policies in which it found no problem."""
    settings = Settings.read()
    good, found = [], []
    with open_encoder(settings) as encoder:
        lint = lint_policy(settings, encoder)
        for policy, file, text in track(read, total=len(read), what="reading the phrases"):
            try:
                found += [_in_colour(warning) for warning in lint(policy, file, text)]
                good.append((policy, file))
            except InvalidPolicyError as error:
                found.append(Text(error.message))
    for line in found:
        messages().print(line, soft_wrap=True)
    return good


def _in_colour(warning: str) -> Text:
    word, colon, rest = warning.partition(":")
    return Text.assemble((word + colon, "yellow"), rest)
