"""`moderate scan`: judges files on this machine, without broker or database."""

import csv
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from worker.cli.terminal.console import (
    action_text,
    counting,
    messages,
    plain_table,
    print_json,
    results,
    track,
)
from worker.domain.policies.policy import Policy
from worker.errors import UsageError
from worker.images.processes.pool import DecoderPool
from worker.images.sources.folder import find_files
from worker.printable import printable
from worker.reports.pages import scan_page, write_page
from worker.reports.thumbnails import FileThumbnails
from worker.settings import Settings
from worker.usecases.moderation.judge_picture import Judgement
from worker.wiring.components import open_decoder, open_encoder
from worker.wiring.policies import open_policy, scan_folder

#: Files and their judgements.
Judged = list[tuple[Path, Judgement]]

EPILOG = """Examples:

[bold]moderate scan uploads/[/]

[bold]moderate scan a.jpg b.png --policy default --json[/]

[bold]moderate scan uploads/ --csv > scores.csv[/]

[bold]moderate scan uploads/ --html scan.html[/]

Exit codes: 0 done, whatever was flagged, 1 a policy has problems, 2 wrong usage, 3 the model cannot be
loaded."""


def scan(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Pictures, or folders of pictures.")],
    policy: Annotated[
        str | None, typer.Option(help="Policy to judge by instead of MODERATION_POLICY.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print comma-separated values, a column for each label's score.")
    ] = False,
    html: Annotated[
        Path | None, typer.Option(help="Also write a contact sheet with the scores to this file.")
    ] = None,
) -> None:
    """Judge files by a policy here and now; nothing is enqueued or stored."""
    if as_json and as_csv:
        raise UsageError("--json and --csv exclude each other")
    settings = Settings.read()
    files = find_files(paths)
    with open_decoder(settings) as decoder, open_encoder(settings) as encoder:
        live = open_policy(settings, encoder, policy or settings.policy)
        scan_files = scan_folder(settings, encoder, decoder)
        judged = list(track(scan_files(live, files), total=len(files), what="judging"))
        if html:
            _write(live.policy, judged, decoder, html)
    if as_json:
        print_json([_as_json(file, judgement) for file, judgement in judged])
    elif as_csv:
        _print_csv(judged, [label.name for label in live.policy.labels])
    else:
        _print_table(judged)


def _write(policy: Policy, judged: Judged, decoder: DecoderPool, html: Path) -> None:
    judged_bytes = {file: one.picture.facts.sha256 for file, one in judged if one.picture}
    draw = FileThumbnails(decoder, judged_bytes)
    with counting("drawing") as progress:
        page = scan_page(policy, judged, draw, progress)
    write_page(page, html)
    messages().print(f"contact sheet: {html}", soft_wrap=True)


def _as_json(file: Path, judgement: Judgement) -> dict[str, Any]:
    decision = judgement.decision
    return {
        "file": str(file),
        "action": decision.action.value,
        "labels": list(decision.flagged),
        "reason": decision.reason,
        **(judgement.picture.facts.coverage() if judgement.picture else {}),
        "scores": [
            {
                "label": s.label,
                "score": s.score,
                "prompt": s.prompt,
                "background": s.background,
                **s.view.as_json(),
            }
            for s in decision.scores
        ],
    }


def _print_csv(judged: Judged, labels: list[str]) -> None:
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(["file", "action", "labels", "reason", *labels])
    for file, judgement in judged:
        decision = judgement.decision
        scores = {score.label: f"{score.score:.4f}" for score in decision.scores}
        flagged = " ".join(decision.flagged)
        row = [printable(_no_formula(file)), decision.action.value, flagged, printable(decision.reason)]
        table.writerow(row + [scores.get(label, "") for label in labels])


def _no_formula(file: Path) -> str:
    """Return the path in a form that spreadsheets do not evaluate as a formula."""
    return f"./{file}" if str(file).startswith(("=", "+", "-", "@")) else str(file)


def _print_table(judged: Judged) -> None:
    table = plain_table("file", "action", "reason")
    for file, judgement in judged:
        decision = judgement.decision
        table.add_row(str(file), action_text(decision.action), decision.reason)
    results().print(table)
    counts: dict[str, int] = {}
    for _, judgement in judged:
        counts[judgement.decision.action.value] = counts.get(judgement.decision.action.value, 0) + 1
    results().print("\n" + ", ".join(f"{count} {action}" for action, count in sorted(counts.items())))
