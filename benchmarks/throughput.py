"""Measure pictures a second, from enqueue to decision committed, against the alternatives.

    python benchmarks/throughput.py [--model vit-b-32] [--rounds 5] [--only NAME] [--out FILE.json]

Random weights of a real architecture, synthetic JPEGs of 1600 x 1200, all cores, float32 unless a way's name
says otherwise. The ways take turns, round after round, each on new pictures; the figures are median, minimum
and maximum over the rounds. The tower alone reads no files: it is the ceiling of every way that encodes one
batch after another. The towers in other engines are ceilings of those engines. A slow way gets fewer pictures
a turn, but enough for full batches; figures are per picture. Before the clock starts, the results of every
way are compared with the float32 loop's, so that no way wins by computing less.
"""

import json
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from bench import Bench, open_bench
from circumstances import circumstances
from exported_tower import ONNX, OPENVINO, exported, least_cosine, missing
from infinity_rival import INFINITY_PYTHON, infinity
from our_worker import OurWorker, our_worker
from pictures import Supply
from random_model import MODELS
from rich.console import Console
from rival_worker import PROCESSES, RivalWorker, rival_worker
from tower import BATCH, Tower
from transformers import pipeline
from turns import Rounds, Way, table

from worker.bench.pictures import SIZE

TOWER, NAIVE = f"the tower alone, batch {BATCH}", "Celery task around the pipeline"
#: Largest difference that two ways of scaling a JPEG down, and bfloat16 on top, may cause.
COSINE_TOLERANCE = 0.01
#: Lowest cosine that an exported tower's vectors may have with the original's.
LEAST_COSINE = {"float32": 0.9999, "bfloat16": 0.999, "int8, dynamic": 0.95}


def main(  # noqa: PLR0913, PLR0917 - options
    model: Annotated[str, typer.Option(help=f"One of {', '.join(MODELS)}.")] = "vit-b-32",
    rounds: Annotated[int, typer.Option(min=1, help="Rounds.")] = 5,
    pictures: Annotated[int, typer.Option(min=4, help="Pictures in a turn, at most.")] = 256,
    seconds: Annotated[float, typer.Option(help="Seconds of a slow way's turn.")] = 5.0,
    labels: Annotated[int, typer.Option(min=2, help="Labels.")] = 20,
    only: Annotated[list[str] | None, typer.Option(help="Ways whose names have this in them.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the figures as JSON.")] = None,
) -> None:
    """Print pictures a second."""
    run = circumstances(__file__, "torch", "transformers", "celery", "redis", "sqlalchemy", "pillow")
    run |= {"model": model, "labels": labels, "rounds": rounds, "size": list(SIZE)}
    with open_bench(model, labels) as bench, ExitStack() as stack:
        ways = Ways(bench, only or [""], stack)
        ways.start()
        supply = bench.supply()
        run |= {"threads": ways.threads, "left out": ways.left_out, "agreement": ways.compare(supply)}
        run["pictures a second"] = Rounds(rounds, pictures, seconds).measure(ways.ways, supply)
    show(run)
    if out:
        out.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")


class Ways:
    """Starts every way and compares their results."""

    def __init__(self, bench: Bench, only: Sequence[str], stack: ExitStack) -> None:
        self._bench, self._only, self._stack = bench, only, stack
        self.ways: dict[str, Way] = {}
        self.threads: dict[str, Any] = {"torch, here": torch.get_num_threads()}
        self.left_out: list[str] = []
        self._cosines: dict[str, Callable[[Sequence[Path]], list[list[float]]]] = {}
        self._tops: dict[str, Callable[[Sequence[Path]], list[str]]] = {}
        self._least_cosines: dict[str, float] = {}

    def start(self) -> None:
        """Load the models and start the workers of all ways."""
        self._reference = Tower(self._bench.model, self._bench.labels)
        self._add_towers()
        self._add_engines()
        self._add_pipelines()
        self._add_loops()
        self._add_workers()

    def compare(self, supply: Supply) -> dict[str, Any]:
        """Return the difference of every way's results from the float32 loop's; RuntimeError if too large."""
        with supply.new(8) as files:
            truth = self._reference.loop(files)
            best = [self._bench.labels[_argmax(row)] for row in truth]
            found = {name: _distance(truth, judge(files)) for name, judge in self._cosines.items()}
            found |= {name: {"same top label": _share(best, top(files))} for name, top in self._tops.items()}
        found |= {name: {"least cosine to the tower": one} for name, one in self._least_cosines.items()}
        _require_agreement(found)
        return found

    def _wants(self, name: str) -> bool:
        return any(part in name for part in self._only)

    def _add_towers(self) -> None:
        for name, dtype in ((TOWER, torch.float32), (f"{TOWER}, bfloat16", torch.bfloat16)):
            if self._wants(name):
                self.ways[name] = Way(self._tower(dtype).alone, BATCH)

    def _add_engines(self) -> None:
        for packages in (OPENVINO, ONNX):
            if absent := missing(packages):
                self._leave_out(f"{packages[-1]}: pip install {' '.join(absent)}")
        for name, way, encode in exported(self._reference, self._bench.folder, self._wants):
            self.ways[name] = way
            self._least_cosines[name] = least_cosine(self._reference, encode)
        self.threads["OpenVINO"] = "its choice for throughput"
        self.threads["ONNX Runtime"] = os.cpu_count()

    def _add_pipelines(self) -> None:
        zero_shot: Any = None
        for batch in (1, BATCH):
            name = f"pipeline, batch {batch}"
            if self._wants(name):
                zero_shot = zero_shot or pipeline(
                    "zero-shot-image-classification", str(self._bench.model), dtype=torch.float32
                )
                judge = _pipeline(zero_shot, self._bench.labels, batch)
                self.ways[name], self._tops[name] = Way(judge, 4 if batch == 1 else BATCH), judge

    def _add_loops(self) -> None:
        for name, dtype in (
            (f"cached loop by hand, batch {BATCH}", torch.float32),
            ("cached loop by hand, bfloat16", torch.bfloat16),
        ):
            if self._wants(name):
                loop = self._tower(dtype).loop
                self.ways[name], self._cosines[name] = Way(loop, 2 * BATCH), loop

    def _add_workers(self) -> None:
        if self._wants(NAIVE):
            rival: RivalWorker = self._stack.enter_context(rival_worker(self._bench, "pipeline_task"))
            self.ways[NAIVE], self._tops[NAIVE] = rival.way, rival.top_labels
            self.threads[NAIVE] = f"{PROCESSES} processes of one thread"
        if self._wants("infinity"):
            self._add_infinity()
        for name, precision in (
            ("moderation-worker", "float32"),
            ("moderation-worker, bfloat16", "bfloat16"),
        ):
            if self._wants(name):
                ours: OurWorker = self._stack.enter_context(
                    our_worker(self._bench, precision, precision=precision)
                )
                self.ways[name], self._cosines[name] = ours.way, ours.cosines
                self.threads[name] = ours.threads

    def _add_infinity(self) -> None:
        if not INFINITY_PYTHON:
            self._leave_out("infinity: needs a separate virtual environment, see benchmarks/README.md")
            return
        rival = self._stack.enter_context(infinity(self._bench))
        name = "infinity, vectors alone"
        self.ways[name] = Way(rival.judge, 2 * BATCH)
        self._cosines[name] = rival.cosines(self._reference.texts)
        self.threads[name] = rival.threads

    def _tower(self, dtype: torch.dtype) -> Tower:
        if dtype is torch.float32:
            return self._reference
        if not hasattr(self, "_half"):
            self._half = Tower(self._bench.model, self._bench.labels, dtype)
        return self._half

    def _leave_out(self, line: str) -> None:
        self.left_out.append(line)
        Console(stderr=True).print(f"left out: {line}", style="yellow")


def _pipeline(zero_shot: Any, labels: list[str], batch: int) -> Callable[[Sequence[Path]], list[str]]:
    def judge(files: Sequence[Path]) -> list[str]:
        names = [str(one) for one in files]
        ranked = zero_shot(names, candidate_labels=labels, hypothesis_template="{}", batch_size=batch)
        return [one[0]["label"] for one in ranked]

    return judge


def _distance(truth: list[list[float]], found: list[list[float]]) -> dict[str, float]:
    pairs = zip(truth, found, strict=True)
    largest = max(abs(a - b) for one, other in pairs for a, b in zip(one, other, strict=True))
    tops = [[str(_argmax(row)) for row in rows] for rows in (truth, found)]
    return {"same top label": _share(*tops), "largest difference of a cosine": largest}


def _require_agreement(found: dict[str, dict[str, float]]) -> None:
    for name, one in found.items():
        least = next((limit for end, limit in LEAST_COSINE.items() if name.endswith(end)), 0.0)
        if (
            one.get("largest difference of a cosine", 0) > COSINE_TOLERANCE
            or one.get("least cosine to the tower", 1) < least
            or one.get("same top label", 1) < 0.8
        ):
            raise RuntimeError(f"{name} does not agree with the float32 loop: {one}")


def _share(one: Sequence[str], other: Sequence[str]) -> float:
    return sum(a == b for a, b in zip(one, other, strict=True)) / len(one)


def _argmax(row: Sequence[float]) -> int:
    return max(range(len(row)), key=row.__getitem__)


def show(run: dict[str, Any]) -> None:
    """Print the figures, also relative to the tower alone and to the Celery task around the pipeline."""
    figures = run["pictures a second"]
    beside = {"of_fp32_tower": TOWER, "x_the_task": NAIVE}
    present = {title: name for title, name in beside.items() if name in figures}
    console = Console()
    console.print(f"{run['machine']}; {run['model']}, {run['labels']} labels, 1600 x 1200")
    console.print(table(figures, "pictures a second", **present))


if __name__ == "__main__":
    typer.run(main)
