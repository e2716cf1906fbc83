"""Measure what the same bytes cost a second time, in core seconds and in wall-clock seconds.

    python benchmarks/repeats.py [--rounds 3] [--precision bfloat16] [--out FILE.json]

Every repeat is a new submission with a new decision; only its vector is known. Core seconds are those of the
worker and its decoders. In wall-clock seconds the producer shares the same cores.
"""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from bench import open_bench
from circumstances import circumstances
from our_worker import OurWorker, our_worker
from random_model import MODELS
from rich.console import Console
from rich.progress import track
from turns import SECOND, summary, table

NEW, AGAIN, MANY = "new pictures", "the same bytes again", "the same bytes again, 64 in a message"
#: Repeats are quick, so this many times more of them are measured.
TIMES = 8

Judge = Callable[[Sequence[Path]], None]


def main(  # noqa: PLR0913, PLR0917 - options
    model: Annotated[str, typer.Option(help=f"One of {', '.join(MODELS)}.")] = "vit-b-32",
    rounds: Annotated[int, typer.Option(min=1, help="Rounds.")] = 3,
    pictures: Annotated[int, typer.Option(min=4, help="New pictures in a round.")] = 128,
    labels: Annotated[int, typer.Option(min=2, help="Labels.")] = 20,
    precision: Annotated[str, typer.Option(help="Of our worker.")] = "bfloat16",
    out: Annotated[Path | None, typer.Option(help="Write the figures as JSON.")] = None,
) -> None:
    """Print milliseconds a picture, new and repeated."""
    run = circumstances(__file__, "torch", "celery", "sqlalchemy") | {"model": model, "rounds": rounds}
    with (
        open_bench(model, labels) as bench,
        our_worker(bench, "repeats", precision=precision) as ours,
    ):
        supply = bench.supply()
        with supply.new(SECOND) as files:
            ours.judge(files)
        run |= {"threads": ours.threads, "pictures in a round": {NEW: pictures, AGAIN: TIMES * pictures}}
        core: dict[str, list[float]] = {NEW: [], AGAIN: [], MANY: []}
        clock: dict[str, list[float]] = {NEW: [], AGAIN: [], MANY: []}
        for _ in track(range(rounds), description="measuring", console=Console(stderr=True)):
            with supply.new(pictures) as files:
                works: dict[str, tuple[Judge, list[Path]]] = {
                    NEW: (ours.judge, files),
                    AGAIN: (ours.judge, TIMES * files),
                    MANY: (ours.judge_many, TIMES * files),
                }
                for name, (judge, shown) in works.items():
                    on_cores, by_clock = _cost(ours, judge, shown)
                    core[name].append(on_cores)
                    clock[name].append(by_clock)
    run["core milliseconds a picture"] = {name: summary(found) for name, found in core.items()}
    run["milliseconds a picture"] = {name: summary(found) for name, found in clock.items()}
    show(run)
    if out:
        out.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")


def _cost(ours: OurWorker, judge: Judge, files: list[Path]) -> tuple[float, float]:
    """Return the core milliseconds and the wall-clock milliseconds of a picture."""
    before, started = ours.usage.seconds, time.perf_counter()
    judge(files)
    took, used = time.perf_counter() - started, ours.usage.seconds - before
    return 1000 * used / len(files), 1000 * took / len(files)


def show(run: dict[str, Any]) -> None:
    """Print both costs, also relative to a new picture's."""
    console = Console()
    console.print(run["machine"])
    for unit in ("core milliseconds a picture", "milliseconds a picture"):
        console.print(f"\n{unit}:", style="bold")
        console.print(table(run[unit], "median"))
        new = run[unit][NEW]["median"]
        console.print(
            ", ".join(
                f"{name}: {new / run[unit][name]['median']:.0f} times cheaper" for name in (AGAIN, MANY)
            )
        )


if __name__ == "__main__":
    typer.run(main)
