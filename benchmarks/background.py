"""Measure how often a policy flags harmless pictures, and which background phrases would change that.

    MODERATION_MODEL=../shared/models/photo-zero-shot python benchmarks/background.py \
        --pictures ../shared/photos/labels.csv --policy policies/default.yaml \
        [--before OLD.yaml] [--choose 40] [--out benchmarks/results/background.json]

The table has columns `file` and `category`; `none` is harmless. Shows the share of harmless pictures that are
flagged and the recall of each category, by the scoring rule of version 0.1 and by today's, for each policy.
With `--choose`, phrases of policies/concrete-nouns.txt are added one by one to the background, each time the
one that takes away most flags on half of the harmless pictures; the share flagged is that of the other half.
"""

import csv
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer
from circumstances import circumstances
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from worker.domain.evaluation.backtest import Backtest
from worker.domain.policies.policy import Policy, Scoring
from worker.encoder.phrases import encode_phrases
from worker.encoder.protocol import Encoder
from worker.policy_files.nouns import concrete_nouns
from worker.policy_files.parser import read_policy
from worker.settings import Settings
from worker.usecases.moderation.judge_picture import JudgePicture
from worker.wiring.components import open_decoder, open_encoder

HARMLESS: Final = "none"
#: The label that should find each category of ../shared/photos.
LABEL_OF: Final = {
    "weapon_gun": "firearms",
    "weapon_blade": "blades",
    "alcohol": "alcohol",
    "gambling": "gambling",
}
_SEEDS: Final = 5


@dataclass(frozen=True)
class Pictures:
    """Embedded pictures: views of each after the other."""

    vectors: NDArray[np.float16]
    views: NDArray[np.intp]
    categories: NDArray[np.str_]

    @property
    def harmless(self) -> NDArray[np.bool_]:
        """Which pictures no label should flag."""
        flags: NDArray[np.bool_] = self.categories == HARMLESS
        return flags


def main(
    pictures: Annotated[Path, typer.Option(help="CSV with the columns file and category.")],
    policy: Annotated[Path, typer.Option(help="Policy file.")],
    before: Annotated[Path | None, typer.Option(help="An earlier version to compare with.")] = None,
    choose: Annotated[int, typer.Option(help="Choose this many phrases of concrete-nouns.txt.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Write the figures as JSON.")] = None,
) -> None:
    """Print the share flagged and the recall of each version."""
    settings = Settings()
    with open_encoder(settings) as encoder, open_decoder(settings) as decoder:
        embedded = _embed(JudgePicture(encoder, decoder), pictures)
        versions = {
            name: read_policy(file, with_pictures=False)[0]
            for name, file in (("before", before), ("now", policy))
            if file
        }
        figures = {
            f"{name}, {rule.value}": _measure(encoder, replace(version, scoring=rule), embedded)
            for name, version in versions.items()
            for rule in Scoring
        }
        figures["chosen"] = _choose(encoder, versions["now"], embedded, choose) if choose else {}
    _show(figures)
    if out:
        found = circumstances(__file__, "numpy", "torch", "transformers") | {"figures": figures}
        out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def _embed(judge: JudgePicture, table: Path) -> Pictures:
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    embedded = [
        judge.embed((table.parent / row["file"]).read_bytes()).embedding
        for row in track(rows, description="embedding", transient=True)
    ]
    return Pictures(
        np.concatenate(embedded).astype(np.float16),
        np.array([len(one) for one in embedded], np.intp),
        np.array([row["category"] for row in rows]),
    )


def _measure(encoder: Encoder, policy: Policy, pictures: Pictures) -> dict[str, Any]:
    vectors = encode_phrases(encoder, list(policy.phrases()), policy.templates)
    (found,) = Backtest([(policy, vectors)], encoder.info.scale).judge(pictures.vectors, pictures.views)
    harmless = pictures.harmless
    names = [label.name for label in policy.labels]
    return {
        "harmless pictures": int(harmless.sum()),
        "flagged": float(found.flagged[:, harmless].any(axis=0).mean()),
        "at 0.7": float((found.scores[:, harmless] >= 0.7).any(axis=0).mean()),
        "by label": dict(zip(names, found.flagged[:, harmless].mean(axis=1).tolist(), strict=True)),
        "recall": {
            category: float(found.flagged[names.index(label), pictures.categories == category].mean())
            for category, label in LABEL_OF.items()
            if label in names
        },
        "prompts behind false flags": _prompts(encoder, policy, pictures),
    }


def _prompts(encoder: Encoder, policy: Policy, pictures: Pictures) -> dict[str, int]:
    """Count the harmless pictures that each prompt alone would flag."""
    alone = [
        (label.name, prompt, replace(policy, labels=(replace(label, prompts=(prompt,)),)))
        for label in policy.labels
        for prompt in label.prompts
    ]
    vectors = encode_phrases(encoder, list(policy.phrases()), policy.templates)
    backtest = Backtest([(one, vectors) for *_, one in alone], encoder.info.scale)
    found = backtest.judge(pictures.vectors, pictures.views)
    counts = {
        f"{label}: {prompt}": int(outcome.flagged[0, pictures.harmless].sum())
        for (label, prompt, _), outcome in zip(alone, found, strict=True)
    }
    return dict(Counter(counts).most_common(15))


def _choose(encoder: Encoder, policy: Policy, pictures: Pictures, count: int) -> dict[str, Any]:
    """Choose phrases on one half of the harmless pictures, and measure them on the other, several times."""
    candidates = [phrase for phrase in concrete_nouns() if phrase not in set(policy.phrases())]
    picked: Counter[str] = Counter()
    runs = []
    for seed in range(_SEEDS):
        half = np.random.default_rng(seed).random(len(pictures.views)) < 0.5
        chosen, shares = _greedy(encoder, policy, pictures, candidates, half, count)
        picked.update(chosen)
        runs.append(shares)
    return {
        "flagged of the other half, before": float(np.mean([run[0] for run in runs])),
        "flagged of the other half, after": float(np.mean([run[1] for run in runs])),
        "picked in most runs": picked.most_common(count),
    }


def _greedy(  # noqa: PLR0913, PLR0917 - one step of the search
    encoder: Encoder,
    policy: Policy,
    pictures: Pictures,
    candidates: Sequence[str],
    half: NDArray[np.bool_],
    count: int,
) -> tuple[list[str], tuple[float, float]]:
    """Return the phrases chosen, and the share flagged of the other half before and after."""
    every = [*policy.phrases(), *candidates]
    vectors = encode_phrases(encoder, every, policy.templates)
    # One logit more of background: exp(logit) grows by its share, so all candidates are tried at once.
    similar = encoder.info.scale * vectors.cosines(pictures.vectors.astype(np.float32)).astype(np.float64)
    owner = np.repeat(np.arange(len(pictures.views)), pictures.views)
    prompts, others = _sums(policy, vectors.index, similar)
    thresholds = np.array([label.review for label in policy.labels])
    limits = np.log(thresholds / (1 - thresholds))

    def flags(more: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which labels each picture shows with this much more background, shape (pictures, labels)."""
        logits = prompts - np.logaddexp(others, more[:, None])
        best = np.full((len(pictures.views), logits.shape[1]), -np.inf)
        np.maximum.at(best, owner, logits)
        flagged: NDArray[np.bool_] = best >= limits
        return flagged

    wanted = np.zeros((len(pictures.views), len(policy.labels)), np.bool_)
    names = [label.name for label in policy.labels]
    for category, label in LABEL_OF.items():
        wanted[pictures.categories == category, names.index(label)] = True
    more = np.full(len(owner), -np.inf)
    harmless = pictures.harmless
    start, hits = flags(more), (flags(more) & wanted).sum()
    chosen: list[str] = []
    for _ in range(count):
        best: tuple[int, str] | None = None
        for phrase in candidates:
            if phrase in chosen:
                continue
            flagged = flags(np.logaddexp(more, similar[:, vectors.index[phrase]]))
            if (flagged & wanted).sum() < hits:
                continue
            left = int(flagged[harmless & half].any(axis=1).sum())
            if best is None or left < best[0]:
                best = (left, phrase)
        if best is None or best[0] >= flags(more)[harmless & half].any(axis=1).sum():
            break
        chosen.append(best[1])
        more = np.logaddexp(more, similar[:, vectors.index[best[1]]])
    other = harmless & ~half
    return chosen, (float(start[other].any(axis=1).mean()), float(flags(more)[other].any(axis=1).mean()))


def _sums(
    policy: Policy, index: Any, similar: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the log-sums of prompts and of harmless phrases, shape (views, labels)."""

    def joined(phrases: Sequence[str]) -> NDArray[np.float64]:
        rows = [index[phrase] for phrase in dict.fromkeys(phrases)]
        total: NDArray[np.float64] = np.logaddexp.reduce(similar[:, rows], axis=1)
        return total

    prompts = np.stack([joined(label.prompts) for label in policy.labels], axis=1)
    others = np.stack([joined(policy.background + label.lookalikes) for label in policy.labels], axis=1)
    return prompts, others


def _show(figures: dict[str, Any]) -> None:
    console = Console()
    table = Table("", "harmless flagged", "at 0.7", *LABEL_OF, box=None, header_style="bold")
    for name, found in figures.items():
        if "flagged" in found:
            recall = [f"{found['recall'].get(category, 0):.2f}" for category in LABEL_OF]
            table.add_row(name, f"{found['flagged']:.1%}", f"{found['at 0.7']:.1%}", *recall)
    console.print(table)
    for name, found in figures.items():
        console.print(f"\n{name}", style="bold")
        console.print(found.get("prompts behind false flags") or found)


if __name__ == "__main__":
    typer.run(main)
