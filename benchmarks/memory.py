"""Measure our worker's memory over thousands of pictures.

    python benchmarks/memory.py [--pictures 2000] [--precision bfloat16] [--out FILE.json]

Resident memory of the worker process, and the sum over its decoders, after the model is loaded and after
every 64 new pictures. The published run has `--pictures 20000`.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from bench import open_bench
from circumstances import circumstances
from our_worker import OurWorker, our_worker
from random_model import MODELS
from rich.console import Console
from rich.progress import track

STEP = 64
#: Buffers have their full size after this number of pictures; later growth would be a leak.
WARM = 512


def main(
    model: Annotated[str, typer.Option(help=f"One of {', '.join(MODELS)}.")] = "vit-b-32",
    pictures: Annotated[int, typer.Option(min=2 * WARM, help="Pictures.")] = 2_000,
    labels: Annotated[int, typer.Option(min=2, help="Labels.")] = 20,
    precision: Annotated[str, typer.Option(help="Of our worker.")] = "bfloat16",
    out: Annotated[Path | None, typer.Option(help="Write the figures as JSON.")] = None,
) -> None:
    """Print megabytes before and after warming up."""
    run = circumstances(__file__, "torch", "celery", "sqlalchemy") | {"model": model}
    with (
        open_bench(model, labels) as bench,
        our_worker(bench, "memory", precision=precision) as ours,
    ):
        supply = bench.supply()
        line = [(0, *_megabytes(ours))]
        for start in track(range(0, pictures, STEP), description="judging", console=Console(stderr=True)):
            with supply.new(STEP) as files:
                ours.judge(files)
            line.append((start + STEP, *_megabytes(ours)))
        run |= {"threads": ours.threads}
    run["columns"] = ["pictures", "worker, MB", "decoders, MB"]
    run["line"] = line
    run["MB"] = _summary(line)
    Console().print(run["machine"], run["MB"])
    if out:
        out.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")


def _megabytes(ours: OurWorker) -> tuple[float, float]:
    usage = ours.usage
    return round(usage.own_bytes / 2**20, 1), round(usage.children_bytes / 2**20, 1)


def _summary(line: list[tuple[int, float, float]]) -> dict[str, Any]:
    early = max(worker for pictures, worker, _ in line if pictures <= WARM)
    late = max(worker for pictures, worker, _ in line if pictures > WARM)
    return {
        "worker, model loaded": line[0][1],
        f"worker, most until {WARM} pictures": early,
        f"worker, most from there to {line[-1][0]}": late,
        "growth after that": round(late - early, 1),
        "decoders, most": max(decoders for *_, decoders in line),
    }


if __name__ == "__main__":
    typer.run(main)
