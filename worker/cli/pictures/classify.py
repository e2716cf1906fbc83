"""`moderate classify`: rank labels on pictures, the classic zero-shot way."""

from pathlib import Path
from typing import Annotated

import typer

from worker.cli.terminal.console import announce, plain_table, print_error, print_json, results, track
from worker.errors import ModerationError
from worker.images.sources.folder import find_files
from worker.settings import Settings
from worker.usecases.moderation.classify_pictures import DEFAULT_TEMPLATE, Ranking
from worker.wiring.components import open_decoder, open_encoder
from worker.wiring.policies import classify_pictures

EPILOG = """Examples:

[bold]moderate classify picture.png --labels "fox,bear,seagull,owl"[/]

[bold]moderate classify uploads/ --labels "a cat,a dog" --template "{}" --json[/]

Exit codes: 0 done, 1 a picture could not be judged, 2 wrong usage, 3 the model cannot be loaded."""


def classify(
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGE...", help="Pictures, or folders of pictures.")
    ],
    labels: Annotated[str, typer.Option(help="What to choose from, separated by commas.")],
    template: Annotated[
        str,
        typer.Option("--template", "--hypothesis-template", help="The phrase around a label, with {}."),
    ] = DEFAULT_TEMPLATE,
    model: Annotated[str | None, typer.Option(help="Model to use instead of MODERATION_MODEL.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Rank labels on pictures: which of these is it? Whether it is there at all, [bold]scan[/] says.

    The scores equal those of transformers' zero-shot pipeline: in float32, whatever MODERATION_PRECISION is.
    Scores of an int8 copy made by [bold]model export[/] differ, and a note says so.
    """
    # In float32 even if workers use another precision, to equal transformers' pipeline.
    settings = Settings.read(**({"model": model} if model else {}), precision="float32")
    files = find_files(images)
    names = [name.strip() for name in labels.split(",") if name.strip()]
    with open_decoder(settings) as decoder, open_encoder(settings) as encoder:
        _note_int8(settings.model)
        rankings = list(
            track(
                classify_pictures(settings, encoder, decoder)(files, names, template),
                total=len(files),
                what="classifying",
            )
        )
    _print_json(rankings) if as_json else _print_table(rankings)
    problems = [ranking for ranking in rankings if ranking.problem]
    for ranking in problems:
        print_error(ModerationError(f"{ranking.file}: {ranking.problem}"))
    if problems:
        raise typer.Exit(1)


def _note_int8(model: str) -> None:
    # The hub's client takes a second to import.
    from worker.encoder.hub import model_files  # noqa: PLC0415

    if model_files.int8_tower(model_files.find(model)):
        announce(f"{model} is an int8 copy: its scores differ from those of transformers' pipeline")


def _print_json(rankings: list[Ranking]) -> None:
    print_json(
        [
            {"file": str(r.file), "scores": [{"label": label, "score": score} for label, score in r.scores]}
            | ({"error": r.problem} if r.problem else {})
            for r in rankings
        ]
    )


def _print_table(rankings: list[Ranking]) -> None:
    table = plain_table("file", "best label", "score", "then")
    for ranking in rankings:
        if ranking.problem:
            continue
        (label, score), *rest = ranking.scores
        table.add_row(
            str(ranking.file), label, f"{score:.3f}", ", ".join(f"{name} {p:.3f}" for name, p in rest[:4])
        )
    if table.row_count:
        results().print(table)
