"""`moderate policy suggest`: which words of a policy to change, by past uploads and their verdicts."""

from collections.abc import Iterable
from typing import Annotated, Final

import typer
from rich.text import Text

from worker.cli.terminal.console import counting, print_json, results
from worker.cli.terminal.durations import parse_since
from worker.domain.evaluation.suggesting.suggestions import IdlePhrase, Suggestions
from worker.domain.policies.policy import Policy
from worker.reports import suggestion_wording as wording
from worker.reports.suggestion_figures import suggestion_figures
from worker.reports.wording import version
from worker.settings import Settings
from worker.store.engine.clock import now_at
from worker.store.engine.database import Database
from worker.store.operations.archive import Span
from worker.store.upgrade import schema
from worker.usecases.policies.suggesting.suggest_changes import SuggestedChanges
from worker.wiring.components import open_database, open_encoder
from worker.wiring.policies import pick_policies
from worker.wiring.suggesting import suggest_changes

EPILOG = """It never edits the file: copy the lines that you like into a draft, and see what they do with
[bold]moderate policy compare live DRAFT[/].

Examples:

[bold]moderate policy suggest stickers[/]

[bold]moderate policy suggest drafts/stickers.yaml --since 30d --top 5[/]

Exit codes: 0 done, whatever was found, 1 the policy has problems, 2 wrong usage, 3 the database or the
model is not usable."""
_INDENT: Final = "  "


def suggest(
    policy: Annotated[
        str,
        typer.Argument(metavar="POLICY", help="A policy file, or the name of a policy in force."),
    ],
    since: Annotated[str, typer.Option(help="How far back: 30d, 12h, 90m.")] = "90d",
    top: Annotated[int, typer.Option(min=1, max=100, help="How many suggestions of each kind at most.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Suggest phrases to add to a policy or to remove from it, with their effect on past uploads.

    Verdicts say which flags were wrong. Without them, it looks at labels that flag many uploads.
    """
    back = parse_since(since)
    settings = Settings.read()
    database = open_database(settings)
    try:
        schema.check(database)
        asked = pick_policies(settings, database).file_or_name(policy)
        suggested = _suggest(settings, database, asked, Span(now_at(database) - back, asked.name), top)
    finally:
        database.dispose()
    if as_json:
        print_json(suggestion_figures(suggested))
    elif suggested.found is None:
        results().print(wording.empty_reason(suggested), soft_wrap=True)
    else:
        print_suggestions(suggested, suggested.found, top)


def _suggest(
    settings: Settings, database: Database, policy: Policy, span: Span, top: int
) -> SuggestedChanges:
    with open_encoder(settings) as encoder, counting("reading the archive") as progress:
        return suggest_changes(settings, encoder, database)(policy, span, top, progress)


def print_suggestions(suggested: SuggestedChanges, found: Suggestions, top: int) -> None:
    """Print short blocks: what to change, where, and its effect; then what else the editor should know."""
    results().print(version(suggested.policy))
    results().print(wording.coverage(suggested), soft_wrap=True)
    results().print(wording.basis(found), soft_wrap=True)
    _print_changes(found)
    _print_prompts(found)
    _print_list("Labels that flag many uploads", [wording.busy(one) for one in found.busy])
    _print_list(
        "False flags that are left: lookalikes to try, in your words",
        [wording.left(one) for one in found.left],
    )
    if found.unnamed:
        _print_list(
            "Uploaded, and nearer to these than to any phrase of the policy", [wording.looks(found.unnamed)]
        )
    _print_idle(found.idle, top)


def _print_changes(found: Suggestions) -> None:
    if not found.changes:
        results().print("\nNo phrase has an effect above chance.")
    for number, change in enumerate(found.changes, 1):
        results().print(Text(f"\n{number}  {wording.title(change.edit)}", "bold"), soft_wrap=True)
        _indented(wording.lines(change.edit).splitlines(), "cyan")
        _indented([wording.effect(change, by_verdict=found.by_verdict)])
        _indented(filter(None, [wording.examples(change)]), "dim")


def _print_prompts(found: Suggestions) -> None:
    shown = [f'{one.label}: "{one.prompt}" is {wording.prompt(one)}' for one in found.prompts]
    _print_list("Prompts behind false flags: sharpen those that find little", shown)


def _print_idle(idle: tuple[IdlePhrase, ...] | None, top: int) -> None:
    if not idle:
        return
    lists: dict[tuple[str, ...], list[str]] = {}
    for one in idle:
        lists.setdefault(one.path, []).append(one.phrase)
    shown = [
        f"{' '.join(path)}: {', '.join(phrases[:top])}"
        + (f" and {len(phrases) - top:,} more" if len(phrases) > top else "")
        for path, phrases in lists.items()
    ]
    _print_list("Phrases that do nothing: keep those that name something rare", shown)


def _print_list(title: str, entries: list[str]) -> None:
    if entries:
        results().print(Text(f"\n{title}", "bold"), soft_wrap=True)
        _indented(entries)


def _indented(entries: Iterable[str], style: str = "") -> None:
    for entry in entries:
        results().print(Text(_INDENT + entry, style), soft_wrap=True)
