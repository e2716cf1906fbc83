"""Simulate what a policy learns from its reviewers: before, with four examples, after 50 to 200 verdicts.

    python benchmarks/learning.py [--vectors FILE.npz] [--photos ../shared/photos] [--out FILE.json]

The bundled model and policies/stickers.yaml judge held-out scenes whose stickers three other artists drew
(`another_artist.py`), and a model of photographs judges photographs. Half of the pictures are the platform's
uploads, the other half measures. Reviewers see what the policy flags and a twentieth of what it allows.
Needs the Debian packages that `sticker_model.py` names. --vectors keeps the drawn scenes for the next run.
"""

import csv
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import torch
import typer
from another_artist import redraw
from circumstances import circumstances
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.special import logsumexp
from sklearn.metrics import roc_auc_score
from sticker_model import BATCH, LABEL_THINGS, MODERATE, SEED, SIDE, _safe_things
from threadpoolctl import threadpool_limits

from training.backgrounds import draw_backgrounds
from training.distortion import to_image
from training.scenes import SceneMaker
from training.sprites import draw_sprites
from training.world import build_world
from worker import resources
from worker.domain.learning.calibration import log_losses
from worker.domain.learning.candidates import CANDIDATES, choose_examples
from worker.domain.learning.evidence import Archive, Evidence
from worker.domain.learning.guard import AS_IT_IS, propose
from worker.domain.moderation.learned import ARCHIVE_SIZE, LearnedLabel, learned_logit
from worker.domain.policies.policy import Policy
from worker.encoder.phrases import encode_phrases
from worker.encoder.towers.transformers_encoder import TransformersEncoder
from worker.images.preprocessing import prepare
from worker.policy_files.parser import read_policy

ARTISTS: Final = (11, 12, 13)
SCENES: Final = {"harmless": 1200, "label": 160}
VERDICTS: Final = (50, 100, 200)
#: The share of uploads that show a label; the share of allowed ones that are reviewed.
PREVALENCE: Final = 0.05
AUDITED: Final = 0.05
#: A run is worse if its AUC falls by more than this.
NOISE: Final = 0.01
#: Labels of tests/acceptance/photographs.yaml, and the categories of photographs that show them.
PHOTO_LABELS: Final = {"firearms": {"weapon_gun"}, "alcohol": {"alcohol"}, "blades": {"weapon_blade"}}
Numbers = NDArray[np.float64]
Matrix = NDArray[np.float32]
Flags = NDArray[np.bool_]
Figures = dict[str, float]


@dataclass(frozen=True)
class World:
    """Pictures of one label: vectors, the label's logits, whether they show it."""

    name: str
    embeddings: Matrix
    logits: Numbers
    truth: Flags
    scale: float


def main(
    vectors: Annotated[Path | None, typer.Option(help="Where drawn scenes are kept as vectors.")] = None,
    photos: Annotated[Path, typer.Option(help="Folder of photographs.")] = Path("../shared/photos"),
    model: Annotated[Path, typer.Option(help="Model of photographs.")] = Path(
        "../shared/models/photo-zero-shot"
    ),
    seeds: Annotated[int, typer.Option(help="Simulations of each label and artist.")] = 4,
    out: Annotated[Path, typer.Option(help="Write the figures as JSON.")] = Path(
        "benchmarks/results/learning.json"
    ),
) -> None:
    """Print the figures of every stage, and write them."""
    torch.set_num_threads(2)
    with threadpool_limits(1, user_api="blas"):
        stickers = [row for world in sticker_worlds(vectors) for row in runs(world, seeds)]
        photographs = [row for world in photo_worlds(photos, model) for row in photo_runs(world, 4 * seeds)]
    figures = {"stickers": summary(stickers), "photographs": summary(photographs)}
    run = circumstances(__file__, "numpy", "scipy", "scikit-learn", "torch")
    out.write_text(json.dumps(run | {"figures": figures}, indent=1) + "\n", encoding="utf-8")
    for name, table in figures.items():
        show(name, table)


def sticker_worlds(kept: Path | None) -> Iterator[World]:
    """Yield each label as each artist drew it."""
    encoder = TransformersEncoder.load("demo")
    policy, _ = read_policy(resources.folder("policies") / "stickers.yaml")
    if kept is None or not kept.exists():
        drawn = draw_scenes(encoder)
        if kept:
            np.savez(kept, allow_pickle=False, **drawn)
    else:
        drawn = dict(np.load(kept))
    for artist in ARTISTS:
        harmless = drawn[f"{artist} harmless"]
        for label in policy.labels:
            shown = drawn[f"{artist} {label.name}"]
            embeddings = np.concatenate([shown, harmless])
            truth = np.arange(len(embeddings)) < len(shown)
            logits = logits_of(encoder, policy, embeddings)[label.name]
            yield World(f"{label.name}, artist {artist}", embeddings, logits, truth, encoder.info.scale)


def draw_scenes(encoder: TransformersEncoder) -> dict[str, Matrix]:
    """Return the vectors of scenes by artist and kind, from seeds that training does not use."""
    world = build_world()
    sprites = draw_sprites(thing.symbol for thing in world.things)
    numbers = {thing.symbol: n for n, thing in enumerate(world.things)}
    bad = {label: [numbers[symbol] for symbol in symbols] for label, symbols in LABEL_THINGS.items()}
    safe = _safe_things(world, {n for things in bad.values() for n in things})
    drawn = {}
    for artist in ARTISTS:
        redrawn, rng = redraw(sprites, SEED + artist), random.Random(SEED + artist)
        maker = SceneMaker(redrawn, draw_backgrounds(300, SEED + artist, redrawn), SEED + artist)
        kinds = {"harmless": [rng.sample(safe, rng.randint(1, 4)) for _ in range(SCENES["harmless"])]}
        for label, things in bad.items():
            kinds[label] = [
                [rng.choice(things), *rng.sample(safe, rng.randint(0, 3))] for _ in range(SCENES["label"])
            ]
        for kind, scenes in kinds.items():
            drawn[f"{artist} {kind}"] = embed_scenes(encoder, maker, scenes, f"artist {artist}: {kind}")
    return drawn


def embed_scenes(
    encoder: TransformersEncoder, maker: SceneMaker, scenes: list[list[int]], what: str
) -> Matrix:
    """Draw scenes and return their vectors."""
    vectors = []
    for start in track(range(0, len(scenes), BATCH), description=what, transient=True):
        pictures = maker.make(scenes[start : start + BATCH], SIDE, strength=MODERATE).pictures
        prepared = [prepare(to_image(picture), encoder.info.preprocessing) for picture in pictures]
        vectors.append(encoder.encode_images(prepared))
    return np.concatenate(vectors)


def photo_worlds(folder: Path, model: Path) -> Iterator[World]:
    """Yield the labels of which there are photographs; nothing without folder or model."""
    if not (folder.is_dir() and model.is_dir()):
        print(f"no photographs: {folder} or {model} is missing")
        return
    encoder = TransformersEncoder.load(str(model))
    policy, _ = read_policy(Path(__file__).parents[1] / "tests/acceptance/photographs.yaml")
    with (folder / "labels.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    pictures = [Image.open(folder / row["file"]).convert("RGB") for row in rows]
    embeddings = np.concatenate(
        [
            encoder.encode_images([prepare(picture, encoder.info.preprocessing)])
            for picture in track(pictures, description="photographs", transient=True)
        ]
    )
    logits = logits_of(encoder, policy, embeddings)
    for label, categories in PHOTO_LABELS.items():
        truth = np.array([row["category"] in categories for row in rows])
        yield World(label, embeddings, logits[label], truth, encoder.info.scale)


def logits_of(encoder: TransformersEncoder, policy: Policy, embeddings: Matrix) -> dict[str, Numbers]:
    """Return each label's logits by log-sum-exp, shape (pictures,)."""
    vectors = encode_phrases(encoder, list(policy.phrases()), policy.templates)
    cosines = encoder.info.scale * (embeddings @ vectors.matrix.T).astype(np.float64)

    def together(phrases: Sequence[str]) -> Numbers:
        joined: Numbers = logsumexp(cosines[:, [vectors.index[p] for p in dict.fromkeys(phrases)]], axis=1)
        return joined

    return {
        label.name: together(label.prompts) - together(policy.background + label.lookalikes)
        for label in policy.labels
    }


def runs(world: World, seeds: int) -> Iterator[tuple[str, Figures, Figures]]:
    """Yield the stages of simulations: their name, and the figures before and after."""
    for seed in track(range(seeds), description=world.name, transient=True):
        rng = np.random.default_rng(seed)
        uploads = halves(world.truth, rng)
        shown, harmless = np.flatnonzero(uploads & world.truth), np.flatnonzero(uploads & ~world.truth)
        archive = np.concatenate([harmless, rng.choice(shown, int(PREVALENCE * len(harmless)))])
        sample = sample_of(world, archive, rng)
        yield from stages(world, sample, rng.choice(shown, 4, replace=False), ~uploads)
        queue = reviewed(world, shown, harmless, rng)
        for count in VERDICTS:
            yield from learned_from(world, sample, queue[:count], ~uploads, f"{count} verdicts")


def photo_runs(world: World, seeds: int) -> Iterator[tuple[str, Figures, Figures]]:
    """Do the same with so few pictures that a person sees all uploads."""
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        uploads = halves(world.truth, rng)
        rows = rng.permutation(np.flatnonzero(uploads))
        shown = rows[world.truth[rows]]
        sample = sample_of(world, rows, rng)
        yield from stages(world, sample, shown[:4], ~uploads)
        everything = world.truth | True
        yield from learned_from(world, sample, rows, ~uploads, f"{len(rows)} verdicts", seen=everything)


def halves(truth: Flags, rng: np.random.Generator) -> Flags:
    """Return half of the pictures of each kind: the uploads; the other half measures."""
    uploads = np.zeros(len(truth), np.bool_)
    for kind in (truth, ~truth):
        rows = rng.permutation(np.flatnonzero(kind))
        uploads[rows[: len(rows) // 2]] = True
    return uploads


def sample_of(world: World, rows: NDArray[np.intp], rng: np.random.Generator) -> Archive:
    """Return the sample of an archive."""
    chosen = rng.choice(rows, min(ARCHIVE_SIZE, len(rows)), replace=False)
    return Archive.of(world.embeddings[chosen].astype(np.float16).astype(np.float32), world.scale)


def reviewed(
    world: World, shown: NDArray[np.intp], harmless: NDArray[np.intp], rng: np.random.Generator
) -> NDArray[np.intp]:
    """Return what people see of a stream of uploads, each picture once: flagged ones, and some audits."""
    count = 40_000
    stream = np.where(rng.random(count) < PREVALENCE, rng.choice(shown, count), rng.choice(harmless, count))
    seen = stream[(world.logits[stream] >= 0) | (rng.random(count) < AUDITED)]
    return seen[np.sort(np.unique(seen, return_index=True)[1])]


def stages(
    world: World, archive: Archive, examples: NDArray[np.intp], test: Flags
) -> Iterator[tuple[str, Figures, Figures]]:
    """Yield the figures of the policy alone, and with a few examples that a person chose."""
    before = measured(world, world.logits, test)
    yield "policy alone", before, before
    chosen = LearnedLabel("", world.embeddings[examples])
    yield f"{len(examples)} examples", before, measured(world, applied(world, archive, chosen, test), test)


def learned_from(  # noqa: PLR0913, PLR0917 - one run
    world: World,
    archive: Archive,
    rows: NDArray[np.intp],
    test: Flags,
    name: str,
    seen: Flags | None = None,
) -> Iterator[tuple[str, Figures, Figures]]:
    """Yield the figures of every candidate, and of what the guard adopts."""
    before = measured(world, world.logits, test)
    evidence = evidence_of(world, archive, rows, seen)
    nothing = world.embeddings[:0]
    proposal = propose(world.name, "", evidence, archive, nothing)
    if evidence.is_enough:
        examples = choose_examples(evidence, nothing)
        for candidate, fit in CANDIDATES.items():
            fitted = fit(evidence, archive, examples)
            if fitted and candidate != "calibration":
                logits = applied(world, archive, fitted.calibrated("", 1.0, 0.0), test)
                yield f"{name}: always {candidate}", before, measured(world, logits, test)
    logits = applied(world, archive, proposal.learned, test) if proposal.learned else world.logits
    after = measured(world, logits, test)
    yield f"{name}: adopted", before, after
    yield f"{name}: adopted {proposal.adopted}", before, after


def applied(world: World, archive: Archive, learned: LearnedLabel, test: Flags) -> Numbers:
    """Return the logits, changed by what was learned on the half that measures."""
    rest = evidence_of(world, archive, np.flatnonzero(test), None)
    logits = world.logits.copy()
    logits[test] = learned_logit(
        rest.logits, rest.vectors, rest.near, rest.standardised, learned, archive.scale
    )
    return logits


def evidence_of(world: World, archive: Archive, rows: NDArray[np.intp], seen: Flags | None) -> Evidence:
    """Return pictures as verdicts, with the probability of having been shown."""
    flagged = world.logits[rows] >= 0 if seen is None else seen[rows]
    probabilities = np.where(flagged, 1.0, AUDITED)
    truth = world.truth[rows]
    return Evidence.of(world.logits[rows], world.embeddings[rows], truth, probabilities, rows, archive)


def measured(world: World, logits: Numbers, test: Flags) -> Figures:
    """Return the figures of logits on the half that measures, at the platform's prevalence."""
    truth, own = world.truth[test], logits[test]
    weights = np.where(truth, PREVALENCE / truth.sum(), (1 - PREVALENCE) / (~truth).sum())
    return {
        "AUC": float(roc_auc_score(truth, own)),
        "recall at 1 % false positives": float((own[truth] > np.quantile(own[~truth], 0.99)).mean()),
        "log loss": float((weights * log_losses(own, truth)).sum()),
    }


def summary(rows: list[tuple[str, Figures, Figures]]) -> dict[str, Figures]:
    """Return the means of each stage, in the order of the stages, and how many runs got worse."""
    stages: dict[str, list[tuple[Figures, Figures]]] = {}
    for name, before, after in rows:
        stages.setdefault(name, []).append((before, after))
    order = sorted(stages, key=_order)
    return {name: _means(stages[name]) for name in order}


def _order(name: str) -> tuple[bool, bool, int, bool, int]:
    count, _, rest = name.partition(" ")
    candidates = [AS_IT_IS, *CANDIDATES]
    last = next((n for n in reversed(range(len(candidates))) if rest.endswith(" " + candidates[n])), -1)
    verdicts = "verdicts" in rest
    return verdicts, count.isdecimal(), int(count) if count.isdecimal() else 0, "adopted" in rest, last


def _means(runs: list[tuple[Figures, Figures]]) -> Figures:
    falls = np.array([before["AUC"] - after["AUC"] for before, after in runs])
    keys = ("AUC", "recall at 1 % false positives", "log loss")
    return {
        "runs": len(runs),
        **{key: float(np.mean([after[key] for _, after in runs])) for key in keys},
        "AUC before": float(np.mean([before["AUC"] for before, _ in runs])),
        "worse": float((falls > NOISE).mean()),
        "any fall": float((falls > 0).mean()),
        "largest fall": float(falls.max()),
    }


def show(title: str, figures: dict[str, Figures]) -> None:
    """Print one line a stage."""
    columns = list(next(iter(figures.values())))
    table = Table(title, *columns, box=None, header_style="bold", padding=(0, 2, 0, 0))
    for name, row in figures.items():
        table.add_row(name, *(f"{row[column]:.3f}".removesuffix(".000") for column in columns))
    Console(width=180).print(table, "")


if __name__ == "__main__":
    typer.run(main)
