"""`moderate policy check`: shows all problems of policy files, and warnings about phrases from the model."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from worker.cli.terminal.console import messages, print_json, results, track
from worker.domain.policies.policy import Policy
from worker.errors import InvalidPolicyError, UsageError
from worker.policy_files.findings import Findings
from worker.policy_files.hints import add_hints
from worker.policy_files.parser import read_policy
from worker.policy_files.yaml_text.folder import policy_files, strays, twin_problem
from worker.policy_files.yaml_text.problems import PolicyProblem
from worker.printable import one_line
from worker.settings import Settings
from worker.wiring.components import open_encoder
from worker.wiring.policies import lint_policy

EPILOG = """Examples:

[bold]moderate policy check policies/stickers.yaml[/]

[bold]moderate policy check --no-model policies[/]

[bold]moderate policy check policies --json[/]

Exit codes: 0 no problems (there may be warnings), 1 it found problems, 2 wrong usage, 3 the model cannot be
loaded."""


@dataclass
class _Checked:
    """A file and its findings so far."""

    file: Path
    #: None if the file has problems, or is not read.
    policy: Policy | None = None
    text: str = ""
    error: InvalidPolicyError | None = None
    #: Why the file is not read as a policy although it looks like one.
    stray: str = ""
    found: Findings | None = field(default=None, repr=False)

    @property
    def warnings(self) -> list[str]:
        """Return warnings about valid but probably unintended content, as text."""
        stray = (
            [f"warning: {one_line(str(self.file))} is not read as a policy: {self.stray}"]
            if self.stray
            else []
        )
        return stray + (self.found.warnings() if self.found else [])

    @property
    def noted(self) -> list[PolicyProblem]:
        """Return the same warnings as data."""
        stray = [PolicyProblem(str(self.file), 0, 0, self.stray)] if self.stray else []
        return stray + (self.found.problems() if self.found else [])


def check(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Policy files, or folders of policy files.")
    ],
    no_model: Annotated[
        bool, typer.Option("--no-model", help="Only read the files: quick, but without the model's warnings.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show every problem of policy files at once, each with its place and a hint.

    The model (MODERATION_MODEL) then reads the phrases. A phrase that it would truncate is a problem. Words
    that it cannot read and phrases that it confuses are warnings, and so is a background phrase that no
    upload is like, if the database is available. Of a folder, files that only look like policies are listed
    too.
    """
    checked = list(_check_files(files))
    read = [one for one in checked if one.policy]
    if read and not no_model:
        _lint_with_model(read)
    if as_json:
        print_json(list(map(_as_json, checked)))
    else:
        _print(checked)
    if any(one.error for one in checked):
        raise typer.Exit(1)


def _check_files(files: Iterable[Path]) -> Iterator[_Checked]:
    """Yield the findings of each file, and of each file in a folder."""
    for file in files:
        unread = strays(file if file.is_dir() else file.parent)
        if not file.is_dir():
            yield _read(file, unread.get(file, ""))
            continue
        found = policy_files(file)
        if not found and not unread:
            raise UsageError(f"there is no policy in {file}: no file *.yaml")
        yield from map(_read, found)
        yield from (_Checked(one, stray=why) for one, why in unread.items())


def _read(file: Path, stray: str = "") -> _Checked:
    checked = _Checked(file, stray=stray)
    if twin := twin_problem(file):
        checked.error = InvalidPolicyError(twin)
        return checked
    try:
        checked.policy, checked.text = read_policy(file)
    except InvalidPolicyError as error:
        checked.error = error
    else:
        checked.found = Findings(file, checked.text)
        add_hints(checked.policy, checked.found)
    return checked


def _lint_with_model(read: list[_Checked]) -> None:
    settings = Settings.read()
    with open_encoder(settings) as encoder:
        lint = lint_policy(settings, encoder)
        for one in track(read, total=len(read), what="reading the phrases"):
            assert one.policy  # noqa: S101 - only files with a policy are linted
            try:
                one.found = lint(one.policy, one.file, one.text)
            except InvalidPolicyError as error:
                one.error = error


def _print(checked: list[_Checked]) -> None:
    for one in checked:
        for warning in one.warnings:
            messages().print(_in_colour(warning), soft_wrap=True)
        if one.error:
            messages().print(one.error.message, soft_wrap=True)
    for one in checked:
        if one.policy and not one.error:
            facts = (
                f"{len(one.policy.labels)} labels, {len(set(one.policy.phrases()))} phrases, "
                f"{len(one.policy.tests)} tests, version {one.policy.digest[:12]}"
            )
            line = Text.assemble((f"{one_line(str(one.file))}: no problems", "green"), f" ({facts})")
            results().print(line, soft_wrap=True)


def _in_colour(warning: str) -> Text:
    word, colon, rest = warning.partition(":")
    return Text.assemble((word + colon, "yellow"), rest)


def _as_json(one: _Checked) -> dict[str, Any]:
    problems = (
        one.error.problems or [PolicyProblem(str(one.file), 0, 0, one.error.message)] if one.error else []
    )
    return {
        "file": str(one.file),
        "ok": one.error is None,
        "policy": one.policy.name if one.policy else None,
        "version": one.policy.digest if one.policy else None,
        "problems": list(map(_problem_as_json, problems)),
        "warnings": list(map(_problem_as_json, one.noted)),
    }


def _problem_as_json(problem: PolicyProblem) -> dict[str, Any]:
    return {
        "line": problem.line or None,
        "column": problem.column or None,
        "message": problem.message,
        "hint": problem.hint,
    }
