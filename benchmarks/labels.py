"""Measure the cost of labels: 10 and 1,000 in our worker, 10 and 100 in transformers' pipeline.

    python benchmarks/labels.py [--rounds 3] [--precision bfloat16] [--out FILE.json]

Pictures a second end to end. Our worker encodes a policy's phrases once; the pipeline encodes them for every
picture. Each decision of our worker records all label scores: a thousand rows with a thousand labels.
"""

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from bench import Bench, open_bench
from circumstances import circumstances
from our_worker import OurWorker, our_worker
from random_model import MODELS
from rich.console import Console
from transformers import pipeline
from turns import Rounds, Way, summary, table

OURS, THEIRS = (10, 1000), (10, 100)


def main(
    model: Annotated[str, typer.Option(help=f"One of {', '.join(MODELS)}.")] = "vit-b-32",
    rounds: Annotated[int, typer.Option(min=1, help="Rounds.")] = 3,
    pictures: Annotated[int, typer.Option(min=4, help="Pictures in a turn, at most.")] = 128,
    precision: Annotated[str, typer.Option(help="Of our worker.")] = "bfloat16",
    out: Annotated[Path | None, typer.Option(help="Write the figures as JSON.")] = None,
) -> None:
    """Print pictures a second with few and with many labels."""
    run = circumstances(__file__, "torch", "transformers", "sqlalchemy") | {"model": model, "rounds": rounds}
    costs: dict[str, list[float]] = {}
    with open_bench(model, OURS[0]) as bench, ExitStack() as stack:
        ways = {}
        for number in OURS:
            named, name = bench.with_labels(number), f"moderation-worker, {number:,} labels"
            ours = stack.enter_context(our_worker(named, f"labels-{number}", precision=precision))
            ways[name] = Way(_metered(ours, costs.setdefault(name, [])), ours.way.least)
            run["threads"] = {"moderation-worker": ours.threads, "torch, here": torch.get_num_threads()}
        ways |= _pipelines(bench)
        run["pictures a second"] = Rounds(rounds, pictures).measure(ways, bench.supply())
    # The turns before the rounds are warm-up.
    run["core milliseconds a picture"] = {name: summary(found[-rounds:]) for name, found in costs.items()}
    run["times the cost"] = _ratios(run["pictures a second"])
    show(run)
    if out:
        out.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")


def _metered(ours: OurWorker, costs: list[float]) -> Callable[[Sequence[Path]], None]:
    """Return a judge that appends the worker's core milliseconds per picture to `costs`."""

    def judge(files: Sequence[Path]) -> None:
        before = ours.usage.seconds
        ours.judge(files)
        costs.append(1000 * (ours.usage.seconds - before) / len(files))

    return judge


def _pipelines(bench: Bench) -> dict[str, Way]:
    zero_shot = pipeline("zero-shot-image-classification", str(bench.model), dtype=torch.float32)

    def way(labels: list[str]) -> Way:
        return Way(
            lambda files: zero_shot(
                [str(one) for one in files], candidate_labels=labels, hypothesis_template="{}"
            ),
            least=4,
        )

    return {f"pipeline, {number:,} labels": way(bench.with_labels(number).labels) for number in THEIRS}


def _ratios(figures: dict[str, Any]) -> dict[str, float]:
    """Return the cost of a picture with many labels, relative to few."""

    def ratio(way: str, few: int, many: int) -> float:
        quick, slow = (figures[f"{way}, {number:,} labels"]["median"] for number in (few, many))
        return float(quick / slow)

    return {
        f"moderation-worker, {OURS[1]:,} labels against {OURS[0]}": ratio("moderation-worker", *OURS),
        f"pipeline, {THEIRS[1]} labels against {THEIRS[0]}": ratio("pipeline", *THEIRS),
    }


def show(run: dict[str, Any]) -> None:
    """Print the figures and the ratios."""
    console = Console()
    console.print(run["machine"])
    console.print(table(run["pictures a second"], "pictures a second"))
    for name, cost in run["core milliseconds a picture"].items():
        console.print(f"{name}: {cost['median']:.1f} core milliseconds a picture")
    for name, ratio in run["times the cost"].items():
        console.print(f"{name}: {ratio:.2f} times the cost")


if __name__ == "__main__":
    typer.run(main)
