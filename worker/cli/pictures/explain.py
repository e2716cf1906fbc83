"""`moderate explain`: recomputes a submission's decisions from stored data and shows their reasons."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from worker.cli.pictures.heat_map import check_options, described, write_heat_map
from worker.cli.terminal.console import action_text, announce, plain_table, print_json, results
from worker.domain.moderation.in_force import InForce
from worker.domain.moderation.scoring import LabelScore
from worker.domain.policies.policy import Label, Policy
from worker.printable import one_line
from worker.settings import Settings
from worker.store.upgrade import schema
from worker.usecases.policies.explain_decision import Explanation
from worker.usecases.submissions.find_submission import FindSubmission
from worker.wiring.components import open_database
from worker.wiring.explaining import open_explaining

EPILOG = """Examples:

[bold]moderate explain post-42[/]

[bold]moderate explain 3f2a9c --json[/]

[bold]moderate explain post-42 --heatmap why.png --label weapons[/]

A heat map shows which places of the picture spoke for a label in the newest decision. The picture is read
again from its source, and must have the same bytes.
Exit codes: 0 every decision is the same, 1 something differs or there is no heat map, 2 wrong usage, 3 the
model or the database is not usable."""


def explain(
    submission: Annotated[
        str, typer.Argument(help="A submission's id, or its reference if no other has it.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    heatmap: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.png", help="Write the picture with a heat map: the places that spoke for a label."
        ),
    ] = None,
    label: Annotated[
        str, typer.Option(help="The heat map's label; by default the gravest flagged one.")
    ] = "",
    veiled: Annotated[
        bool, typer.Option("--veiled", help="Blur the picture below the heat map, as the review desk does.")
    ] = False,
) -> None:
    """Recompute a submission's decisions from policy text and stored embedding, and compare."""
    check_options(heatmap, label, veiled=veiled)
    settings = Settings.read()
    database = open_database(settings)
    try:
        schema.check(database)
        with open_explaining(settings, database) as using:
            explanations = using.explain(submission)
            newest = explanations[-1].recorded
            (state,) = FindSubmission(database).in_force([newest.submission_id]).values()
            if as_json:
                print_json([_as_json(explanation, state) for explanation in explanations])
            else:
                for explanation in explanations:
                    _print(explanation)
            if heatmap:
                found = write_heat_map(using, newest, heatmap, label, veiled=veiled)
                announce(described(found, heatmap))
    finally:
        database.dispose()
    if any(explanation.differences for explanation in explanations):
        raise typer.Exit(1)


def _print(explanation: Explanation) -> None:
    recorded, console = explanation.recorded, results()
    facts = {
        "submission": recorded.submission_id,
        "reference": recorded.reference,
        "decided": f"{recorded.created_at:%Y-%m-%d %H:%M:%S} UTC",
        "policy": f"{recorded.policy} {recorded.policy_digest[:12]}",
        "model": recorded.model_digest[:12],
    }
    parts = [Text.assemble((f"{name} ", "dim"), one_line(value)) for name, value in facts.items() if value]
    console.print(Text("  ").join(parts), soft_wrap=True)
    console.print(Text.assemble(action_text(recorded.action), f"  {recorded.reason}"), soft_wrap=True)
    if recorded.text:
        console.print(Text.assemble(("text ", "dim"), one_line(recorded.text)), soft_wrap=True)
    scores = explanation.again.scores if explanation.again else recorded.scores
    if scores:
        _print_scores(explanation.policy, scores)
    console.print(_verdict(explanation), soft_wrap=True)
    console.print()


def _print_scores(policy: Policy | None, scores: tuple[LabelScore, ...]) -> None:
    with_text = ["text"] if any(score.text for score in scores) else []
    columns = ("label", "score", "review", "block", "best phrase", "best background", "margin")
    table = plain_table(*columns, *with_text)
    for score in sorted(scores, key=lambda s: -s.score):
        label = policy.label(score.label) if policy else None
        review, block = _thresholds(label)
        table.add_row(
            score.label,
            f"{score.score:.3f}",
            review,
            block,
            f"{score.prompt}  {score.prompt_cosine:.3f}{score.view}",
            f"{score.background}  {score.background_cosine:.3f}",
            f"{score.margin:+.3f}",
            *(f"+{score.text.added:.2f}  {score.text.word}" if score.text else "" for _ in with_text),
        )
    results().print(table)


def _thresholds(label: Label | None) -> tuple[str, str]:
    if label is None:
        return "", ""
    return f"{label.review:g}", "never" if label.block is None else f"{label.block:g}"


def _verdict(explanation: Explanation) -> Text:
    if explanation.obstacle:
        return Text(f"as recorded; not recomputed: {explanation.obstacle}", "yellow")
    if explanation.differences:
        return Text("\n".join(("recomputed, and different:", *explanation.differences)), "bold red")
    return Text("recomputed from the policy's text and the stored embedding: identical", "green")


def _as_json(explanation: Explanation, state: InForce) -> dict[str, Any]:
    recorded, again = explanation.recorded, explanation.again
    return {
        "submission": recorded.submission_id,
        "reference": recorded.reference,
        "text": recorded.text,
        "policy": recorded.policy,
        "policy_digest": recorded.policy_digest,
        "model_digest": recorded.model_digest,
        "decided_at": recorded.created_at.isoformat(),
        **state.as_json(),
        "policy_action": recorded.action.value,
        "reason": recorded.reason,
        "identical": again is not None and not explanation.differences,
        "differences": list(explanation.differences),
        "obstacle": explanation.obstacle,
        "parts": recorded.parts,
        "area_share": recorded.area_share,
        "time_share": recorded.time_share,
        "scores": [_score_as_json(score) for score in (again.scores if again else recorded.scores)],
    }


def _score_as_json(score: LabelScore) -> dict[str, Any]:
    fields = asdict(score) | {"margin": score.margin} | score.view.as_json()
    del fields["view"], fields["text"]
    text = score.text
    return fields | {"text_added": text.added if text else 0.0, "text_word": text.word if text else ""}
