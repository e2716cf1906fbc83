"""Measure what captions add to the ranking of photographs, if some are informative and some of those lie.

    MODERATION_MODEL=../shared/models/photo-zero-shot python benchmarks/captions.py \
        --photos ../shared/photos --policy tests/acceptance/photographs.yaml \
        [--out benchmarks/results/captions.json]

A photograph's informative caption is its class in an everyday sentence ("look at this revolver"). A tenth of
those are of another photograph's class. All other captions are empty of content ("any thoughts?"). Captions
are drawn many times. The words of a label are its prompts. Good photographs hardly need captions, so each is
judged as a blurred thumbnail of 24 pixels, too, which says little. Average precision is at a prevalence of
1 %, since few labels are more frequent. `labels.csv` has the columns file, what, category.
"""

import csv
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer
from circumstances import circumstances
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sklearn.metrics import average_precision_score

from worker.domain.evaluation.backtest import Backtest
from worker.domain.moderation.additions import WORD_LOGIT
from worker.domain.moderation.caption import Caption, CaptionRule
from worker.domain.policies.policy import Captions, Policy
from worker.encoder.phrases import encode_policy
from worker.encoder.protocol import Encoder
from worker.policy_files.parser import read_policy
from worker.settings import Settings
from worker.usecases.moderation.judge_picture import JudgePicture
from worker.wiring.components import open_decoder, open_encoder

#: Which categories of the folder each label of the policy looks for.
CATEGORIES: Final = {"firearms": "weapon_gun", "blades": "weapon_blade", "alcohol": "alcohol", "fire": "fire"}
SENTENCES: Final = (
    "{}",
    "look at this {}",
    "my {} today",
    "a {} i saw yesterday",
    "{} for sale",
    "throwback: {}",
)
#: None of them is among the captions that the policy knows to be empty of content.
EMPTY: Final = (
    "nice weather",
    "any thoughts?",
    "tbt",
    "hi all",
    "so good",
    "posted",
    "mood",
    "weekend!",
    "hm",
    "wow",
)
LYING: Final = 0.1
SHARES: Final = (0.3, 0.7)
PREVALENCE: Final = 0.01
#: What the score adds up: the picture's logit, and what these parts of a caption add.
RULES: Final = {
    "picture alone": (0.0, 0.0),
    "meaning": (1.0, 0.0),
    "words": (0.0, 1.0),
    "meaning and words": (1.0, 1.0),
}

#: The longer side of each picture, before it is enlarged again; None leaves it as it is.
SIDES: Final = {"as they are": None, "of 24 pixels": 24}

Matrix = NDArray[np.float64]


def main(
    photos: Annotated[Path, typer.Option(help="Folder of photographs, with labels.csv.")],
    policy: Annotated[Path, typer.Option(help="Policy file.")],
    draws: Annotated[int, typer.Option(min=1, help="How often captions are drawn.")] = 200,
    out: Annotated[Path | None, typer.Option(help="Write the figures as JSON.")] = None,
) -> None:
    """Print the average precision of each rule."""
    wanted = with_words(read_policy(policy)[0])
    entries = list(csv.DictReader((photos / "labels.csv").open(encoding="utf-8")))
    settings = Settings()
    with open_encoder(settings) as encoder, open_decoder(settings) as decoder:
        benches = {
            name: Bench(encoder, wanted, entries, JudgePicture(encoder, decoder), photos, side)
            for name, side in SIDES.items()
        }
        bench = next(iter(benches.values()))
        run = {
            **circumstances(__file__, "torch", "transformers"),
            "model": Path(encoder.info.name).name,
            "photographs": len(entries),
            "positives": dict(zip(bench.labels, bench.truth.sum(axis=1).tolist(), strict=True)),
            "draws": draws,
            "milliseconds a caption": round(bench.milliseconds(), 1),
            "figures": {
                name: {f"{share:.0%}": one.measure(share, draws) for share in SHARES}
                for name, one in benches.items()
            },
        }
    show(run)
    if out:
        out.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")


def with_words(policy: Policy) -> Policy:
    """Return a policy of the labels that the photographs show, which reads texts."""
    labels = (replace(label, words=label.prompts) for label in policy.labels if label.name in CATEGORIES)
    return replace(policy, labels=tuple(labels), captions=Captions(), tests=())


class Bench:
    """The logits of photographs, and what captions add to them."""

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        encoder: Encoder,
        policy: Policy,
        entries: Sequence[dict[str, str]],
        judge_picture: JudgePicture,
        photos: Path,
        side: int | None,
    ) -> None:
        self._encoder, vectors = encoder, encode_policy(encoder, policy)
        self._rule = CaptionRule(policy, vectors)
        self.labels = [label.name for label in policy.labels]
        self._reviews = np.array([label.review for label in policy.labels])[:, None]
        self._classes = [entry["what"].replace("_", " ").lower() for entry in entries]
        self.truth = np.array(
            [[entry["category"] == CATEGORIES[name] for entry in entries] for name in self.labels]
        )
        pictures = [
            judge_picture.embed(read(photos / entry["file"], side)).embedding
            for entry in track(entries, "embedding", console=Console(stderr=True))
        ]
        views = np.array([len(picture) for picture in pictures])
        stacked = np.concatenate(pictures).astype(np.float16)
        self._logits = Backtest([(policy, vectors)], encoder.info.scale).logits(stacked, views)
        texts = sorted({text for name in self._classes for text in said(name)} | set(EMPTY))
        captions = [
            Caption(text, vector) for text, vector in zip(texts, encoder.encode_captions(texts), strict=True)
        ]
        added = self._rule.of_many(captions, encoder.info.scale)
        self._added = dict(zip(texts, added, strict=True))

    def milliseconds(self) -> float:
        """Return how long it takes to encode one caption by itself."""
        texts = [f"{name}, picture {n}" for n, name in enumerate(self._classes[:50])]
        started = time.perf_counter()
        for text in texts:
            self._encoder.encode_captions([text])
        return 1000 * (time.perf_counter() - started) / len(texts)

    def measure(self, share: float, draws: int) -> dict[str, Any]:
        """Return the figures of each rule if this share of the captions is informative."""
        random = np.random.default_rng(14)
        drawn = [
            self._draw(share, random) for _ in track(range(draws), "drawing", console=Console(stderr=True))
        ]
        alone = np.array(self._precisions(self._logits))
        figures = {}
        for name, weights in RULES.items():
            scored = [self._logits + weights[0] * meaning + weights[1] * words for meaning, words in drawn]
            precisions = np.array([self._precisions(logits) for logits in scored])
            figures[name] = {
                "average precision": round(float(precisions.mean()), 3),
                "by label": dict(
                    zip(self.labels, np.round(precisions.mean(axis=0), 3).tolist(), strict=True)
                ),
                "worst label": round(float((precisions.mean(axis=0) - alone).min()), 3),
                "draws that lower a label": round(float((precisions < alone - 1e-9).any(axis=1).mean()), 2),
                "recall at review": round(
                    float(np.mean([self._flagged(one)[self.truth].mean() for one in scored])), 3
                ),
                "false positives": round(
                    float(np.mean([self._flagged(one)[~self.truth].mean() for one in scored])), 4
                ),
            }
        return figures

    def _draw(self, share: float, random: np.random.Generator) -> tuple[Matrix, Matrix]:
        """Return what drawn captions add by meaning and by words, shape (labels, photographs) each."""
        count = len(self._classes)
        others = random.permutation(count)
        informative, lying = random.random(count) < share, random.random(count) < LYING
        texts = [
            str(random.choice(said(self._classes[others[n] if lying[n] else n]) if informative[n] else EMPTY))
            for n in range(count)
        ]
        added = [self._added[text] for text in texts]
        meaning = np.stack([one.meaning for one in added], axis=1)
        return meaning, np.array([[WORD_LOGIT * bool(word) for word in one.words] for one in added]).T

    def _precisions(self, logits: Matrix) -> list[float]:
        return [
            average_precision_score(true, scores, sample_weight=at_prevalence(true))
            for true, scores in zip(self.truth, logits, strict=True)
        ]

    def _flagged(self, logits: Matrix) -> NDArray[np.bool_]:
        return logits >= np.log(self._reviews / (1 - self._reviews))


def read(file: Path, side: int | None) -> bytes:
    """Return a photograph's bytes, with no more detail than fits into `side` pixels."""
    if side is None:
        return file.read_bytes()
    with Image.open(file) as photo:
        small = photo.convert("RGB")
    small.thumbnail((side, side))
    data = BytesIO()
    small.resize((10 * small.width, 10 * small.height), Image.Resampling.BICUBIC).save(data, "PNG")
    return data.getvalue()


def said(name: str) -> list[str]:
    """Return the informative captions of a class."""
    return [sentence.format(name) for sentence in SENTENCES]


def at_prevalence(true: NDArray[np.bool_]) -> Matrix:
    """Return weights with which positives are `PREVALENCE` of all."""
    return np.where(true, PREVALENCE / true.sum(), (1 - PREVALENCE) / (~true).sum())


def rows(figures: dict[str, Any]) -> Iterator[list[str]]:
    """Yield a row for each kind of picture, share and rule."""
    found_by = (
        (pictures, share, rule, found)
        for pictures, by_share in figures.items()
        for share, by_rule in by_share.items()
        for rule, found in by_rule.items()
    )
    keys = (
        "average precision",
        "worst label",
        "draws that lower a label",
        "recall at review",
        "false positives",
    )
    for pictures, share, rule, found in found_by:
        yield [pictures, share, rule, *(f"{found[key]:g}" for key in keys)]


def show(run: dict[str, Any]) -> None:
    """Print the figures as a table."""
    table = Table(
        "pictures",
        "informative",
        "rule",
        "AP at 1 %",
        "worst label",
        "draws lower",
        "recall",
        "false positives",
        box=None,
    )
    for row in rows(run["figures"]):
        table.add_row(*row)
    console = Console()
    console.print(table)
    console.print(
        f"{run['photographs']} photographs, {run['positives']}, {run['milliseconds a caption']} ms a caption"
    )


if __name__ == "__main__":
    typer.run(main)
