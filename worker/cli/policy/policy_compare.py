"""`moderate policy compare`: which decisions on past uploads would change under another policy."""

from pathlib import Path
from typing import Annotated, Final

import typer
from rich.text import Text

from worker.cli.terminal.console import action_text, counting, messages, plain_table, print_json, results
from worker.cli.terminal.durations import parse_since
from worker.domain.evaluation.backtest import ACTIONS
from worker.domain.evaluation.comparison import LabelTally
from worker.domain.policies.policy import Policy
from worker.errors import UsageError
from worker.reports import wording
from worker.reports.figures import comparison_figures, per_day
from worker.reports.pages import comparison_page, write_page
from worker.reports.thumbnails import Thumbnails
from worker.settings import Settings
from worker.store.engine.clock import now_at
from worker.store.engine.database import Database
from worker.store.operations.archive import Span
from worker.store.upgrade import schema
from worker.usecases.policies.compare_policies import DEFAULT_KEPT, Comparison
from worker.wiring.components import image_reader, open_database, open_decoder, open_encoder
from worker.wiring.policies import compare_policies, pick_policies

EPILOG = """OLD and NEW are each a policy file, or [bold]live[/] (the file of the other's name in
MODERATION_POLICIES), or the first 6 or more characters of a version's digest.

Examples:

[bold]moderate policy compare live drafts/stickers.yaml[/]

[bold]moderate policy compare 3f2a91bc live --since 7d --html changes.html[/]

Exit codes: 0 done, whatever would change, 1 a policy has problems, 2 wrong usage, 3 the database or the
model is not usable."""
#: Changes listed on the terminal by default.
PRINTED: Final = 20


def compare(  # noqa: PLR0913, PLR0917 - typer passes each option as an argument
    old: Annotated[str, typer.Argument(metavar="OLD", help="The policy as it is: file, live, or digest.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The policy as it would be: the same forms.")],
    since: Annotated[str, typer.Option(help="How far back: 30d, 12h, 90m.")] = "30d",
    policy: Annotated[
        str | None, typer.Option(help="Submissions decided under this policy instead of NEW's name.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Submissions decided under any policy.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write a report with thumbnails to this file.")] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, max=10_000, help="Changes to list; 20 if printed, else 1000. All are counted."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what would have changed if NEW had decided instead of OLD; no picture is judged again."""
    if policy and every:
        raise UsageError("--policy and --all exclude each other")
    back = parse_since(since)
    settings = Settings.read()
    database = open_database(settings)
    try:
        schema.check(database)
        before, after = pick_policies(settings, database)(old, new)
        span = Span(now_at(database) - back, None if every else policy or after.name)
        comparison = _compare(settings, database, before, after, span, limit or DEFAULT_KEPT)
        if html and not wording.empty_reason(comparison):
            _write(comparison, settings, database, html)
    finally:
        database.dispose()
    if as_json:
        print_json(comparison_figures(comparison))
    elif reason := wording.empty_reason(comparison):
        results().print(reason, soft_wrap=True)
    else:
        print_comparison(comparison, limit or PRINTED)


def _compare(  # noqa: PLR0913, PLR0917 - the parameters of a comparison
    settings: Settings, database: Database, old: Policy, new: Policy, span: Span, limit: int
) -> Comparison:
    with open_encoder(settings) as encoder, counting("comparing") as progress:
        return compare_policies(settings, encoder, database)(old, new, span, progress, limit)


def _write(comparison: Comparison, settings: Settings, database: Database, file: Path) -> None:
    with open_decoder(settings, database) as decoder, counting("drawing") as progress:
        page = comparison_page(comparison, Thumbnails(image_reader(settings), decoder), progress)
    write_page(page, file)
    messages().print(f"report: {file}", soft_wrap=True)


def print_comparison(comparison: Comparison, most: int) -> None:
    """Print a comparison as tables, listing at most `most` changes."""
    out = results()
    out.print(f"{wording.version(comparison.old)} -> {wording.version(comparison.new)}", soft_wrap=True)
    out.print(wording.coverage(comparison), soft_wrap=True)
    out.print(Text("\n" + wording.headline(comparison), "bold"), soft_wrap=True)
    _print_moves(comparison)
    _print_load(comparison)
    _print_labels(comparison)
    _print_flips(comparison, most)
    out.print()
    for note in wording.notes(comparison):
        out.print(note, soft_wrap=True)


def _print_moves(comparison: Comparison) -> None:
    table = plain_table("old \\ new", *(action.value for action in ACTIONS))
    for column in table.columns[1:]:
        column.justify = "right"
    for action, row in zip(ACTIONS, comparison.tally.moves.tolist(), strict=True):
        cells = [
            Text(f"{count:,}", "dim" if to is action or not count else "bold")
            for to, count in zip(ACTIONS, row, strict=True)
        ]
        table.add_row(action_text(action), *cells)
    results().print()
    results().print(table)


def _print_load(comparison: Comparison) -> None:
    load = per_day(comparison)
    table = plain_table("a day", "old", "new")
    for column in table.columns[1:]:
        column.justify = "right"
    for key, name in (("reviews", "to review"), ("blocks", "blocked at once"), ("audited", "audit sample")):
        if key != "audited" or load["old"][key] or load["new"][key]:
            table.add_row(name, f"{load['old'][key]:,.1f}", f"{load['new'][key]:,.1f}")
    results().print()
    results().print(table)


def _print_labels(comparison: Comparison) -> None:
    tally = comparison.tally
    columns = ["label", "flagged", "newly", "no longer"]
    agreed = ["precision", "recall"] if tally.verdicts else []
    table = plain_table(*columns, *agreed)
    for column in table.columns[1:]:
        column.justify = "right"
    for label in tally.labels:
        row = [f"{label.before:,} -> {label.after:,}", f"{label.gained:,}", f"{label.lost:,}"]
        old, new = label.agreements
        shares = [
            f"{wording.percent(old.precision)} -> {wording.percent(new.precision)}",
            f"{wording.percent(old.recall)} -> {wording.percent(new.recall)}",
        ]
        table.add_row(_label_name(label), *row, *(shares if agreed else []))
    if agreed:
        old, new = tally.old_agreement, tally.new_agreement
        table.add_row(
            "not allowed",
            *([""] * 3),
            f"{wording.percent(old.precision)} -> {wording.percent(new.precision)}",
            f"{wording.percent(old.recall)} -> {wording.percent(new.recall)}",
        )
    results().print()
    results().print(table)
    results().print(f"({wording.verdict_count(comparison)})")


def _label_name(label: LabelTally) -> Text:
    if label.old_scores is None:
        return Text.assemble(label.name, (" new", "bold"))
    return Text.assemble(label.name, (" removed", "bold") if label.new_scores is None else "")


def _print_flips(comparison: Comparison, most: int) -> None:
    if not comparison.flips:
        return
    table = plain_table("submission", "decided", "action", "why")
    for flip in comparison.flips[:most]:
        moved = Text(" -> ").join([action_text(flip.old.action), action_text(flip.new.action)])
        same = flip.old.action is flip.new.action
        table.add_row(
            flip.submission.reference or flip.submission.id,
            wording.moment(flip.decided_at),
            action_text(flip.new.action) if same else moved,
            "\n".join(wording.reasons(flip, comparison.new)),
        )
    results().print()
    results().print(table)
    if (rest := comparison.tally.changed - min(most, len(comparison.flips))) > 0:
        results().print(f"... and {rest:,} smaller changes: --limit shows more")
