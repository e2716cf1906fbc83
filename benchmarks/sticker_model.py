"""Measure a sticker model on unseen scenes: names, the shipped policy's labels, held-out words.

    python benchmarks/sticker_model.py [--rival FOLDER] [--out FILE.json]

Needs Debian's fonts-noto-color-emoji, unicode-cldr-core, unicode-data and wordnet-base. Scenes, backgrounds
and distortions come from seeds that training does not use. The rival is measured on the same pictures.
"""

import json
import platform
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from training.backgrounds import draw_backgrounds
from training.distortion import to_image
from training.phrases import with_article
from training.scenes import SceneMaker
from training.sprites import draw_sprites
from training.world import World, build_world
from worker import resources
from worker.domain.moderation.scoring import PhraseVectors, score
from worker.domain.policies.policy import Policy
from worker.encoder.phrases import encode_phrases
from worker.encoder.towers.transformers_encoder import TransformersEncoder
from worker.errors import ModerationError, UsageError
from worker.images.preprocessing import prepare
from worker.policy_files.parser import read_policy

SEED = 990_001
SIDE = 96
MODERATE = 0.4
BATCH = 128
#: Things that the shipped policy's labels should flag; nothing else may be flagged.
LABEL_THINGS = {
    "weapons": "🔫🗡⚔🔪🏹🪓",
    "explosives": "💣🧨",
    "alcohol": "🍺🍻🍷🍸🥃🍾🥂🍹🍶",
    "tobacco": "🚬",
    "drugs": "💊💉",
    "death": "💀☠⚰🪦⚱",
}
#: Neither a label's thing nor clearly harmless, so their scenes prove nothing.
DOUBTFUL_WORDS = frozenset(
    [
        "weapon",
        "gun",
        "knife",
        "bomb",
        "explosive",
        "flame",
        "fire",
        "sword",
        "blade",
        "beer",
        "wine",
        "alcohol",
        "bar",
        "cocktail",
        "tobacco",
        "cigarette",
        "smoking",
        "drug",
        "medicine",
        "pill",
        "doctor",
        "hospital",
        "skull",
        "death",
        "coffin",
        "grave",
        "skeleton",
        "blood",
        "monster",
        "ghost",
    ]
)
Matrix = NDArray[np.float32]
Figures = dict[str, Any]


@dataclass(frozen=True)
class Exam:
    """The pictures of one run, shared by every model."""

    world: World
    policy: Policy
    #: Every thing alone, by strength of distortion.
    singles: dict[str, list[Any]]
    #: Scenes of 1 to 4 harmless things; and by label, scenes of 1 to 4 things that show one of its things.
    harmless: list[Any]
    flagged: dict[str, list[Any]]


def main(
    model: Annotated[str, typer.Option(help="Model to measure.")] = "demo",
    rival: Annotated[str | None, typer.Option(help="Folder of another sticker model.")] = None,
    policy: Annotated[
        Path | None, typer.Option(help="Policy file instead of the shipped stickers.yaml.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the figures as JSON.")] = None,
) -> None:
    """Print the figures of the model card."""
    judged_by, _ = read_policy(policy or resources.folder("policies") / "stickers.yaml")
    unknown = {label.name for label in judged_by.labels} - LABEL_THINGS.keys()
    if unknown:
        raise UsageError(
            f"the benchmark has no pictures for: {', '.join(sorted(unknown))}", hint="see LABEL_THINGS"
        )
    exam = set_exam(judged_by)
    figures = {name: measure(name, exam) for name in (model, *([rival] if rival else []))}
    show(figures)
    if out:
        run = {"machine": platform.machine(), "torch": torch.__version__, "seed": SEED, "figures": figures}
        out.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")


def set_exam(policy: Policy) -> Exam:
    """Draw every picture of the exam."""
    world = build_world()
    sprites = draw_sprites(thing.symbol for thing in world.things)
    maker = SceneMaker(sprites, draw_backgrounds(500, SEED, sprites), SEED)
    numbers = {thing.symbol: n for n, thing in enumerate(world.things)}
    bad = {label: [numbers[symbol] for symbol in symbols] for label, symbols in LABEL_THINGS.items()}
    safe = _safe_things(world, {n for things in bad.values() for n in things})
    rng = random.Random(SEED)
    alone = [[n] for n in range(len(world.things))]
    harmless = [rng.sample(safe, rng.randint(1, 4)) for _ in range(1500)]
    flagged = {
        label: [[rng.choice(things), *rng.sample(safe, rng.randint(0, 3))] for _ in range(240)]
        for label, things in bad.items()
    }
    return Exam(
        world=world,
        policy=policy,
        singles={"clean": _draw(maker, alone, 0.0), "moderate distortion": _draw(maker, alone, MODERATE)},
        harmless=_draw(maker, harmless, MODERATE),
        flagged={label: _draw(maker, things, MODERATE) for label, things in flagged.items()},
    )


def _safe_things(world: World, bad: set[int]) -> list[int]:
    def doubtful(n: int) -> bool:
        thing = world.things[n]
        return bool(DOUBTFUL_WORDS & set(" ".join((thing.name, *thing.words)).split()))

    return [n for n in range(len(world.things)) if n not in bad and not doubtful(n)]


def _draw(maker: SceneMaker, things: list[list[int]], strength: float) -> list[Any]:
    images = []
    for start in range(0, len(things), BATCH):
        scenes = maker.make(things[start : start + BATCH], SIDE, strength=strength)
        images += [to_image(picture) for picture in scenes.pictures]
    return images


def measure(name: str, exam: Exam) -> Figures:
    """Return every figure of one model."""
    encoder = TransformersEncoder.load(name)
    singles = {
        strength: _embed(encoder, images, f"{name}: {strength}") for strength, images in exam.singles.items()
    }
    names = encoder.encode_texts(
        [with_article(f"a picture of a {thing.name}") for thing in exam.world.things]
    )
    vectors = encode_phrases(encoder, list(exam.policy.phrases()), exam.policy.templates)
    harmless = _scores(
        exam.policy, _embed(encoder, exam.harmless, f"{name}: harmless"), vectors, encoder.scale
    )
    thresholds = [label.review for label in exam.policy.labels]
    labels = {}
    for column, label in enumerate(exam.policy.labels):
        pictures = _embed(encoder, exam.flagged[label.name], f"{name}: {label.name}")
        shown = _scores(exam.policy, pictures, vectors, encoder.scale)[:, column]
        labels[label.name] = _label_figures(shown, harmless[:, column], label.review)
    return {
        "names": {
            strength: _name_figures(pictures @ names.T, exam.world) for strength, pictures in singles.items()
        },
        "labels": labels | {"mean": _means(list(labels.values()))},
        "harmless scenes": {"all": {"flagged by any label": float((harmless >= thresholds).any(1).mean())}},
        "held-out words": {"all": _word_figures(encoder, exam.world, singles["clean"])},
    }


def _embed(encoder: TransformersEncoder, images: Sequence[Any], what: str) -> Matrix:
    starts = track(range(0, len(images), BATCH), description=what, transient=True)
    return np.concatenate(
        [
            encoder.encode_images(
                [prepare(image, encoder.preprocessing) for image in images[start : start + BATCH]]
            )
            for start in starts
        ]
    )


def _scores(policy: Policy, pictures: Matrix, vectors: PhraseVectors, scale: float) -> NDArray[np.float64]:
    return np.array([[s.score for s in score(policy, picture[None], vectors, scale)] for picture in pictures])


def _name_figures(cosines: Matrix, world: World) -> dict[str, float]:
    """Return how often a thing's name ranks first or in the top five, and how often any true name is first.

    Example: the keywords of an ant include "bug", which is the name of another thing.
    """
    ranks = (cosines > cosines.diagonal()[:, None]).sum(1)
    things = np.arange(len(cosines))
    true = world.true.numpy()[cosines.argmax(1), things]
    return {
        "top-1": float((ranks < 1).mean()),
        "top-5": float((ranks < 5).mean()),
        "a true name first": float(true.mean()),
    }


def _label_figures(
    shown: NDArray[np.float64], harmless: NDArray[np.float64], threshold: float
) -> dict[str, float]:
    """Compare scenes that show a label with harmless ones; precision assumes equally many of both."""
    found, false = float((shown >= threshold).mean()), float((harmless >= threshold).mean())
    return {
        "AUC": _auc(shown, harmless),
        "recall": found,
        "false positives": false,
        "precision": found / (found + false) if found + false else 1.0,
        "recall at 2 % false positives": float((shown > np.quantile(harmless, 0.98)).mean()),
    }


def _auc(positive: NDArray[Any], negative: NDArray[Any]) -> float:
    """Return the chance that a positive scores above a negative, ties counting half."""
    ties = 0.5 * (positive[:, None] == negative).mean()
    return float((positive[:, None] > negative).mean() + ties)


def _word_figures(encoder: TransformersEncoder, world: World, singles: Matrix) -> dict[str, float]:
    """Return how well words that training paired with no picture find their things."""
    words = sorted(world.held_out)
    cosines = encoder.encode_texts([with_article(f"a picture of a {word}") for word in words]) @ singles.T
    ranks, aucs = [], []
    for word, row in zip(words, cosines, strict=True):
        true = np.isin(np.arange(len(row)), list(world.held_out[word]))
        ranks.append(1 + int((row > row[true].max()).sum()))
        aucs.append(_auc(row[true], row[~true]))
    return {
        "words": float(len(words)),
        "median rank": float(np.median(ranks)),
        "first": float(np.mean(np.array(ranks) <= 1)),
        "among the first ten": float(np.mean(np.array(ranks) <= 10)),
        "AUC": float(np.mean(aucs)),
    }


def _means(rows: list[dict[str, float]]) -> dict[str, float]:
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


def show(figures: dict[str, Figures]) -> None:
    """Print the figures of all models, one line a model for each row."""
    console = Console()
    for part, rows in next(iter(figures.values())).items():
        columns = list(next(iter(rows.values())))
        table = Table(part, "model", *columns, box=None, header_style="bold", padding=(0, 2, 0, 0))
        for row in rows:
            for name, own in figures.items():
                table.add_row(row, name, *(f"{own[part][row][column]:.3f}" for column in columns))
        console.print(table, "")


if __name__ == "__main__":
    try:
        typer.run(main)
    except ModerationError as error:
        sys.exit(f"error: {error.message}\n  hint: {error.hint}")
