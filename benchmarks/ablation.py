"""Measure the gain of each technique, from a plain Celery task around the pipeline to our worker.

    python benchmarks/ablation.py [--model vit-b-32] [--rounds 3] [--out FILE.json]

The steps take turns, round after round. Each step of our worker is a set of settings and keeps the techniques
of the step before it. To try other steps, edit STEPS.
"""

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import typer
from bench import Bench, open_bench
from circumstances import circumstances
from our_worker import our_worker, write_policy
from random_model import MODELS
from rich.console import Console
from rival_worker import PROCESSES, rival_worker
from turns import Rounds, Way, table

from worker.concurrency.processors import usable_processors
from worker.settings import Settings
from worker.stage.service_processes import environment_of

#: Pictures that calibrate the int8 copy of the model.
CALIBRATION = 64


@dataclass(frozen=True)
class Step:
    """One more technique."""

    name: str
    #: Settings of our worker, on top of those that every benchmark sets; a rival ignores them.
    settings: dict[str, Any] = field(default_factory=dict)
    #: Module in `rivals/` whose task runs instead of our worker.
    rival: str = ""
    #: Whether a message carries 64 pictures.
    many: bool = False
    #: Whether the model is an int8 copy.
    int8: bool = False


#: One pass at a time, on all processors.
ONE_PASS = {"passes": 1, "torch_threads": usable_processors()}
ONE_AT_A_TIME = ONE_PASS | {"batch_size": 1, "concurrency": 1}

STEPS = (
    Step("Celery task around the pipeline", rival="pipeline_task"),
    Step("+ labels encoded once", rival="cached_task"),
    Step("our worker, one picture at a time", ONE_AT_A_TIME),
    Step("+ many at once, in batches and in transactions", ONE_PASS),
    Step("+ a pass for each processor"),
    Step("+ bfloat16", {"precision": "bfloat16"}),
    Step("+ 64 pictures in a message", {"precision": "bfloat16"}, many=True),
    Step("+ int8", many=True, int8=True),
)


def main(  # noqa: PLR0913, PLR0917 - options
    model: Annotated[str, typer.Option(help=f"One of {', '.join(MODELS)}.")] = "vit-b-32",
    rounds: Annotated[int, typer.Option(min=1, help="Rounds.")] = 3,
    pictures: Annotated[int, typer.Option(min=4, help="Pictures in a turn, at most.")] = 256,
    seconds: Annotated[float, typer.Option(help="Seconds of a slow step's turn.")] = 6.0,
    labels: Annotated[int, typer.Option(min=2, help="Labels.")] = 20,
    out: Annotated[Path | None, typer.Option(help="Write the figures as JSON.")] = None,
) -> None:
    """Print pictures a second, step by step."""
    run = circumstances(__file__, "torch", "transformers", "celery", "redis", "sqlalchemy", "pillow")
    run |= {"model": model, "labels": labels, "rounds": rounds}
    with open_bench(model, labels) as bench, ExitStack() as stack:
        ways, threads = _start(bench, stack)
        figures = Rounds(rounds, pictures, seconds).measure(ways, bench.supply())
    run |= {"threads": threads, "pictures a second": figures}
    show(run)
    if out:
        out.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")


def _start(bench: Bench, stack: ExitStack) -> tuple[dict[str, Way], dict[str, Any]]:
    """Start every step's worker."""
    ways: dict[str, Way] = {}
    threads: dict[str, Any] = {}
    for number, step in enumerate(STEPS):
        if step.rival:
            ways[step.name] = stack.enter_context(rival_worker(bench, step.rival)).way
            threads[step.name] = f"{PROCESSES} processes of one thread"
            continue
        settings = dict(step.settings)
        if step.int8:
            copy, reason = _int8_copy(bench)
            if reason:
                Console(stderr=True).print(f"left out: {step.name}: {reason}", style="yellow", markup=False)
                continue
            settings["model"] = str(copy)
        ours = stack.enter_context(our_worker(bench, f"step-{number}", **settings))
        ways[step.name] = ours.way_of_many if step.many else ours.way
        threads[step.name] = ours.threads
    return ways, threads


def _no_int8() -> str:
    """Return why no int8 copy can be made, or an empty string if it can."""
    command = [sys.executable, "-m", "worker", "model", "export", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 and "--int8" in done.stdout else "`moderate model export` has no --int8"


def _int8_copy(bench: Bench) -> tuple[Path, str]:
    """Export the model to int8, calibrated with pictures like the measured ones; return folder and error."""
    folder = bench.folder / "int8"
    if reason := _no_int8():
        return folder, reason
    settings = Settings.read(
        model=str(bench.model),
        database_url=f"sqlite:///{bench.folder / 'int8.db'}",
        policies=write_policy(bench.folder / "int8-policies", bench.labels),
        policy="labels",
    )
    with bench.supply().new(CALIBRATION):
        command = [sys.executable, "-m", "worker", "model", "export"]
        command += ["--int8", str(bench.media), "--out", str(folder)]
        environment = os.environ | environment_of(settings)
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return folder, "" if (folder / "config.json").exists() else f"{done.stdout}{done.stderr}".strip()


def show(run: dict[str, Any]) -> None:
    """Print each step's figures, relative to the first step and to the step before."""
    figures = run["pictures a second"]
    console = Console()
    console.print(f"{run['machine']}; {run['model']}, {run['labels']} labels, 1600 x 1200")
    console.print(table(figures, "pictures a second", x_the_first=next(iter(figures))))
    for before, name in pairwise(figures):
        gain = figures[name]["median"] / figures[before]["median"]
        console.print(f"{name}: {gain:.2f} times the step before")


if __name__ == "__main__":
    typer.run(main)
