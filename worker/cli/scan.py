"""`moderate scan`: judge files on this machine, without broker or database."""

from pathlib import Path
from typing import Annotated, Any

import typer

from worker.cli.console import action_text, plain_table, print_json, results, track
from worker.images.folder import find_files
from worker.settings import Settings
from worker.usecases.judge_picture import Judgement
from worker.wiring import open_decoder, open_encoder, open_policies, scan_folder

EPILOG = """Examples:

[bold]moderate scan uploads/[/]

[bold]moderate scan a.jpg b.png --policy default --json[/]

Exit codes: 0 done, whatever was found, 1 a policy has problems, 2 wrong usage, 3 the model cannot be
loaded."""


def scan(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Pictures, or folders of pictures.")],
    policy: Annotated[
        str | None, typer.Option(help="Policy to judge by instead of MODERATION_POLICY.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Judge files by a policy here and now; nothing is enqueued or stored."""
    settings = Settings.read()
    files = find_files(paths)
    with open_decoder(settings) as decoder, open_encoder(settings) as encoder:
        live = open_policies(settings, encoder).current(policy or settings.policy)
        scan_files = scan_folder(settings, encoder, decoder)
        judged = list(track(scan_files(live, files), total=len(files), what="judging"))
    if as_json:
        print_json([_as_json(file, judgement) for file, judgement in judged])
    else:
        _print_table(judged)


def _as_json(file: Path, judgement: Judgement) -> dict[str, Any]:
    decision = judgement.decision
    return {
        "file": str(file),
        "action": decision.action.value,
        "labels": list(decision.flagged),
        "reason": decision.reason,
        "scores": [
            {
                "label": s.label,
                "score": s.score,
                "prompt": s.prompt,
                "frame": s.frame,
                "on_black": s.on_black,
            }
            for s in decision.scores
        ],
    }


def _print_table(judged: list[tuple[Path, Judgement]]) -> None:
    table = plain_table("file", "action", "reason")
    for file, judgement in judged:
        decision = judgement.decision
        table.add_row(str(file), action_text(decision.action), decision.reason)
    results().print(table)
    counts: dict[str, int] = {}
    for _, judgement in judged:
        counts[judgement.decision.action.value] = counts.get(judgement.decision.action.value, 0) + 1
    results().print("\n" + ", ".join(f"{count} {action}" for action, count in sorted(counts.items())))
