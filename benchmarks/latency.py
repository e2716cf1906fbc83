"""Measure the time from enqueue to decision while pictures arrive at 70 % of the worker's capacity.

    python benchmarks/latency.py [--seconds 60] [--share 0.7] [--precision bfloat16] [--out FILE.json]

Capacity is the median of three turns of 192 pictures. Pictures then arrive at an even pace, and again at
random (Poisson). A picture's time ends when its decision can be read. The times are compared with that of one
full batch, both at the worker's capacity and for the tower alone.
"""

import json
import random
import time
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
import typer
from bench import Bench, open_bench
from circumstances import circumstances
from our_worker import PATIENCE_SECONDS, OurWorker, our_worker
from pictures import Supply
from random_model import MODELS
from rich.console import Console
from rich.progress import Progress, track
from rich.table import Table
from tower import Tower
from turns import SECOND, summary, timed

#: Resolution of the measured times.
POLL_SECONDS = 0.005
CAPACITY_TURNS, CAPACITY_PICTURES = 3, 192


def main(  # noqa: PLR0913, PLR0917 - options
    model: Annotated[str, typer.Option(help=f"One of {', '.join(MODELS)}.")] = "vit-b-32",
    seconds: Annotated[float, typer.Option(min=1, help="Seconds of arrivals.")] = 60.0,
    share: Annotated[float, typer.Option(help="Of the capacity.")] = 0.7,
    pictures: Annotated[int, typer.Option(min=16, help="In a turn for the capacity.")] = CAPACITY_PICTURES,
    labels: Annotated[int, typer.Option(min=2, help="Labels.")] = 20,
    precision: Annotated[Literal["float32", "bfloat16"], typer.Option(help="Of our worker.")] = "bfloat16",
    out: Annotated[Path | None, typer.Option(help="Write the figures as JSON.")] = None,
) -> None:
    """Print the quantiles of the time from enqueue to decision."""
    run = circumstances(__file__, "torch", "celery", "sqlalchemy") | {"model": model, "share": share}
    with open_bench(model, labels) as bench:
        batch = _tower_batch(bench, precision)
        with our_worker(bench, "latency", precision=precision) as ours:
            supply = bench.supply()
            capacity = summary(list(_capacity(ours, supply, pictures)))
            run |= {"threads": ours.threads, "capacity, pictures a second": capacity}
            rate = share * capacity["median"]
            run |= {"arrivals a second": rate, "seconds of arrivals": seconds}
            full = ours.settings.batch_size / capacity["median"]
            run["one full batch, ms"] = {
                "batch size": ours.settings.batch_size,
                "at capacity": 1000 * full,
                "tower alone": 1000 * ours.settings.batch_size / batch,
            }
            run["milliseconds"] = {
                "even": _quantiles(ours, supply, [n / rate for n in range(round(rate * seconds))]),
                "at random": _quantiles(ours, supply, list(_poisson(rate, seconds))),
            }
    show(run)
    if out:
        out.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")


def _tower_batch(bench: Bench, precision: str) -> float:
    """Return pictures a second of the tower alone, measured before the worker starts."""
    tower = Tower(bench.model, bench.labels, getattr(torch, precision))
    tower.encode(tower.noise)
    started = time.perf_counter()
    for _ in range(4):
        tower.encode(tower.noise)
    return 4 * len(tower.noise) / (time.perf_counter() - started)


def _capacity(ours: OurWorker, supply: Supply, pictures: int) -> Iterator[float]:
    timed(ours.way, supply, SECOND)
    for _ in track(range(CAPACITY_TURNS), description="capacity", console=Console(stderr=True)):
        yield timed(ours.way, supply, pictures)


def _poisson(rate: float, seconds: float) -> Iterator[float]:
    """Yield the times of independent arrivals."""
    dice = random.Random(20)
    gaps = (dice.expovariate(rate) for _ in range(round(rate * seconds)))
    yield from accumulate(gaps)


def _quantiles(ours: OurWorker, supply: Supply, moments: list[float]) -> dict[str, float]:
    """Enqueue a picture at each moment; return quantiles of the time to its decision, in milliseconds."""
    with supply.new(len(moments)) as files, Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("arrivals", total=len(moments))
        submissions = ours.submissions(files)
        sent: dict[str, float] = {}
        took: list[float] = []
        last, start = ours.decided, time.perf_counter()
        deadline = start + moments[-1] + PATIENCE_SECONDS
        while len(took) < len(moments):
            now = time.perf_counter() - start
            if len(sent) < len(moments) and now >= moments[len(sent)]:
                # Timed from when it was due: a lagging producer must not flatter the worker.
                sent[submissions[len(sent)].id] = moments[len(sent)]
                ours.send(submissions[len(sent) - 1])
                continue
            for number, name in ours.decided_since(last):
                last = number
                took.append(time.perf_counter() - start - sent[name])
            bar.update(task, completed=len(took))
            _require(time.perf_counter() < deadline)
            time.sleep(POLL_SECONDS)
        ours.wait_for(len(moments))
    names = ("50th", "95th", "99th")
    return {name: 1000 * float(np.quantile(took, int(name[:2]) / 100)) for name in names} | {
        "most": 1000 * max(took)
    }


def _require(in_time: bool) -> None:
    if not in_time:
        raise TimeoutError("gave up waiting for our worker's decisions")


def show(run: dict[str, Any]) -> None:
    """Print the quantiles, also relative to the time of a batch."""
    console = Console()
    batch = run["one full batch, ms"]
    console.print(
        f"{run['machine']}; capacity {run['capacity, pictures a second']['median']:.1f} a second; "
        f"a full batch of {batch['batch size']}: {batch['at capacity']:.0f} ms, "
        f"tower alone {batch['tower alone']:.0f} ms"
    )
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for column in ("arrivals", "quantile", "milliseconds", "x a batch at capacity", "x the tower's batch"):
        table.add_column(column, justify="right" if column != "arrivals" else "left")
    for pace, quantiles in run["milliseconds"].items():
        for name, one in quantiles.items():
            shares = [f"{one / batch[which]:.2f}" for which in ("at capacity", "tower alone")]
            table.add_row(pace, name, f"{one:,.0f}", *shares)
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
