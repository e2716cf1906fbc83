"""Measure heat maps by the pointing game: whether the highest cell lies on the object that was asked for.

    python benchmarks/heat_maps.py [--photos FOLDER] [--photo-model FOLDER] [--int8 FOLDER] [--out FILE.json]

The bundled model sees scenes with two stickers at known places. A model of photographs sees four photographs
in a square and is asked for the class of one (Böhle et al. 2021, "Convolutional Dynamic Alignment Networks",
the grid pointing game). Occlusion is measured on fewer targets, since a map takes fifty passes.
"""

import csv
import json
import random
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final

import torch
import typer
from circumstances import circumstances
from PIL import Image, ImageOps
from rich.console import Console
from rich.progress import track
from rich.table import Table

from training.phrases import with_article
from training.pointing_game import Figures, Target, contrasts, play, scene_targets
from training.world import build_world
from worker import resources
from worker.encoder.explaining.model_explainer import ModelExplainer
from worker.encoder.explaining.occlusion import Occlusion
from worker.encoder.towers.transformers_encoder import TransformersEncoder
from worker.images.parts import Place
from worker.images.preprocessing import prepare
from worker.policy_files.parser import read_policy

SEED: Final = 990_013
TARGETS, OCCLUDED = 300, 100
#: A photograph's side in the square of four.
_CELL: Final = 224


def main(
    photos: Annotated[Path, typer.Option(help="Folder of photographs with labels.csv.")] = Path(
        "../shared/photos"
    ),
    photo_model: Annotated[Path, typer.Option(help="Model of photographs.")] = Path(
        "../shared/models/photo-zero-shot"
    ),
    int8: Annotated[Path | None, typer.Option(help="Bundled model, exported with int8.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the figures as JSON.")] = None,
) -> None:
    """Print the figures of each method."""
    torch.set_num_threads(1)
    figures = dict(stickers("demo", "bundled model"))
    if int8:
        figures |= dict(stickers(str(int8), "bundled model, int8"))
    figures |= dict(photographs(str(photo_model), photos))
    run: dict[str, Any] = {
        **circumstances(__file__, "transformers", "torch"),
        "figures": {name: asdict(one) for name, one in figures.items()},
    }
    show(figures)
    if out:
        out.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")


def stickers(model: str, name: str) -> Iterator[tuple[str, Figures]]:
    """Yield the figures on scenes of two stickers."""
    encoder = TransformersEncoder.load(model, threads=1)
    policy, _ = read_policy(resources.folder("policies") / "stickers.yaml")
    things = [(thing.symbol, thing.name) for thing in build_world().things]
    targets = scene_targets(encoder, things, policy.background, TARGETS, SEED)
    yield from both(encoder, targets, f"{name}, two stickers")


def photographs(model: str, folder: Path) -> Iterator[tuple[str, Figures]]:
    """Yield the figures on squares of four photographs."""
    encoder = TransformersEncoder.load(model, threads=1)
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as table:
        files = [(folder / row["file"], row["what"].replace("_", " ")) for row in csv.DictReader(table)]
    dice = random.Random(SEED)
    squares = [dice.sample(files, 4) for _ in range(TARGETS)]
    pictures = [
        prepare(_square([file for file, _ in square]), encoder.info.preprocessing) for square in squares
    ]
    corners = [dice.randrange(4) for _ in squares]
    phrases = [
        with_article(f"a photo of a {square[corner][1]}")
        for square, corner in zip(squares, corners, strict=True)
    ]
    policy, _ = read_policy(resources.folder("policies") / "default.yaml")
    directions = contrasts(encoder, pictures, phrases, policy.background)
    targets = [
        Target(picture, directions(n, n), _quarter(corner))
        for n, (picture, corner) in enumerate(zip(pictures, corners, strict=True))
    ]
    yield from both(encoder, targets, "photographs, four in a square")


def both(encoder: TransformersEncoder, targets: list[Target], name: str) -> Iterator[tuple[str, Figures]]:
    """Yield the figures of the method that fits the model, and of occlusion."""
    by, occlusion = ModelExplainer(encoder).by, Occlusion(encoder)
    runs = [(by, targets)] if by.method is not occlusion.method else []
    for explainer, asked in (*runs, (occlusion, targets[:OCCLUDED])):
        what = f"{name}: {explainer.method.value}"
        yield what, play(explainer.explain_image, track(asked, description=what, transient=True))


def _quarter(corner: int) -> Place:
    left, top = corner % 2 / 2, corner // 2 / 2
    return Place(left, top, left + 0.5, top + 0.5)


def _square(files: list[Path]) -> Image.Image:
    whole = Image.new("RGB", (2 * _CELL, 2 * _CELL))
    for number, file in enumerate(files):
        with Image.open(file) as photo:
            cell = ImageOps.fit(photo.convert("RGB"), (_CELL, _CELL))
        whole.paste(cell, (number % 2 * _CELL, number // 2 * _CELL))
    return whole


def show(figures: dict[str, Figures]) -> None:
    """Print a table."""
    table = Table("", "targets", "pointing game", "energy on it", "chance", "ms a map", box=None)
    for name, one in figures.items():
        shares = (f"{share:.3f}" for share in (one.pointing, one.energy, one.chance))
        table.add_row(name, str(one.targets), *shares, f"{one.milliseconds:.0f}")
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
