"""Run every speed benchmark, one after another: `make bench`, about 35 minutes on 2 cores.

    python benchmarks/suite.py [--only NAME ...] [--rounds N] [--results FOLDER]

Each script writes its figures to one file in the results folder; plots go beside them. Ceilings come first,
then pictures a second, then what explains them. To measure more thoroughly, run a single script: its first
lines say how.
"""

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from orderly_exit import leave_in_order
from rich.console import Console

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Step:
    """A script with its options; its name is also that of the results file."""

    name: str
    options: tuple[str, ...]
    #: On 2 cores, to estimate the time left.
    minutes: float
    #: Whether the script has the option --rounds.
    rounds: bool = True

    @property
    def command(self) -> list[str]:
        """Command line; the script's name is the step's up to the first dash."""
        return [sys.executable, str(HERE / f"{self.name.split('-')[0]}.py"), *self.options]


def _model(name: str, *only: str, pictures: int = 256) -> tuple[str, ...]:
    """Return the options that measure another model in these ways only."""
    ways = [word for way in only for word in ("--only", way)]
    return ("--model", name, "--rounds", "2", "--pictures", str(pictures), *ways)


STEPS = (
    Step("ceilings", ("--postgresql",), 1.0),
    Step("throughput", (), 12.0),
    Step(
        "throughput-siglip2",
        _model("siglip2-b-32-256", "the tower", "batch 1", "Celery", "moderation-worker"),
        3.5,
    ),
    # Ten times slower than the others, so only bfloat16 and the rival's task.
    Step(
        "throughput-large",
        _model("vit-l-14", "batch 32, bfloat16", "Celery", "worker, bfloat16", pictures=96),
        4.5,
    ),
    Step("ablation", (), 4.5),
    Step("labels", (), 2.5),
    Step("repeats", (), 1.0),
    Step("latency", (), 3.0, rounds=False),
    Step("memory", (), 2.5, rounds=False),
)


def main(
    only: Annotated[list[str] | None, typer.Option(help="Steps whose names have this in them.")] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="Rounds of each, instead of its own.")] = None,
    results: Annotated[Path, typer.Option(help="Where the figures go.")] = HERE / "results",
) -> None:
    """Run the benchmarks of speed and draw the plots."""
    steps = [step for step in STEPS if not only or any(part in step.name for part in only)]
    if not steps:
        raise typer.BadParameter(f"the steps are {', '.join(step.name for step in STEPS)}")
    results.mkdir(parents=True, exist_ok=True)
    leave_in_order()
    console, failed = Console(stderr=True), []
    started = time.monotonic()
    for number, step in enumerate(steps):
        left = sum(one.minutes for one in steps[number:])
        console.rule(f"{number + 1} of {len(steps)}: {step.name}, about {step.minutes:g} of {left:g} minutes")
        if not _run(step, rounds, results):
            failed.append(step.name)
    subprocess.run([sys.executable, str(HERE / "plot.py"), "--results", str(results)], check=False)
    console.rule(f"{(time.monotonic() - started) / 60:.0f} minutes; figures and plots: {results}")
    if failed:
        console.print(f"failed: {', '.join(failed)}", style="red")
        raise typer.Exit(1)


def _run(step: Step, rounds: int | None, results: Path) -> bool:
    """Run a step; if it fails, keep its earlier figures and go on with the next step."""
    more: Sequence[str] = ("--rounds", str(rounds)) if rounds and step.rounds else ()
    command = [*step.command, *more, "--out", str(results / f"{step.name}.json")]
    with subprocess.Popen(command) as process:
        try:
            return process.wait() == 0
        except BaseException:
            # Terminated, not killed as by subprocess.run: it has children to end.
            process.terminate()
            raise


if __name__ == "__main__":
    typer.run(main)
