"""Measure decoding: in this process and in child processes, at full size and scaled, and by transformers.

    python benchmarks/decoding.py [--out benchmarks/results/decoding.json]

Synthetic JPEGs of 1600 x 1200, for a model of 224 x 224. The ways take turns, round after round, on the same
pictures; the figures are median, minimum and maximum over the rounds. The ceiling is Pillow's decoder alone,
in one thread per process.
"""

import io
import json
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from circumstances import circumstances
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table
from transformers import CLIPImageProcessorPil

from worker.bench.pictures import SIZE, draw
from worker.images.decoding.decoder import decode
from worker.images.limits import Limits
from worker.images.preprocessing import Preprocessing, prepare
from worker.images.processes.pool import DecoderPool
from worker.settings import Settings

MODEL = Preprocessing(Image.Resampling.BICUBIC, shortest_edge=224, crop_width=224, crop_height=224)
LIMITS = Limits(max_bytes=20 * 2**20, max_pixels=50_000_000, max_side=16_384, max_frames=8)
THREADS = 16

Way = Callable[[list[bytes]], object]


def main(
    pictures: Annotated[int, typer.Option(min=1, help="Pictures in a round.")] = 48,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds.")] = 7,
    out: Annotated[Path | None, typer.Option(help="Write the figures as JSON.")] = None,
) -> None:
    """Print pictures a second."""
    files = [draw(seed) for seed in range(pictures)]
    settings = Settings()
    with ThreadPoolExecutor(THREADS) as threads:
        pool = DecoderPool(
            LIMITS,
            processes=settings.decoder_processes,
            seconds=settings.decode_seconds,
            memory_bytes=settings.decoder_memory_bytes,
        )
        pool.wait_until_ready()
        try:
            figures = measure(ways(pool, threads), files, rounds)
        finally:
            pool.close()
    run = {
        **circumstances(__file__, "pillow", "transformers"),
        "pictures": f"{pictures} JPEGs of {SIZE[0]} x {SIZE[1]}",
        "bytes each": sum(map(len, files)) // pictures,
        "decoder processes": pool.processes,
        "calling threads": THREADS,
        "rounds": rounds,
        "pictures a second": figures,
    }
    show(run)
    if out:
        out.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")


def ways(pool: DecoderPool, threads: ThreadPoolExecutor) -> dict[str, Way]:
    """Return every way from a file to a model's pixels; only transformers' processor normalises them too."""
    processor = CLIPImageProcessorPil()

    def each(way: Callable[[bytes], None], files: Sequence[bytes]) -> None:
        for data in files:
            way(data)

    def pillow_alone(data: bytes) -> None:
        with Image.open(io.BytesIO(data)) as image:
            image.load()

    def transformers(data: bytes) -> None:
        with Image.open(io.BytesIO(data)) as image:
            processor(images=[image.convert("RGB")], return_tensors="pt")

    def here(data: bytes, *, scaled: bool) -> None:
        picture = decode(data, LIMITS, MODEL.resized if scaled else None)
        prepare(picture.frames[0], MODEL)

    return {
        "Pillow's decoder alone, one thread": lambda files: each(pillow_alone, files),
        "transformers' processor, one thread": lambda files: each(transformers, files),
        "ours, in this process, full size": lambda files: each(partial(here, scaled=False), files),
        "ours, in this process, scaled": lambda files: each(partial(here, scaled=True), files),
        "ours, in child processes, full size": lambda files: list(
            threads.map(lambda data: pool.decode(data, MODEL, scaled=False), files)
        ),
        "ours, in child processes, scaled": lambda files: list(
            threads.map(lambda data: pool.decode(data, MODEL), files)
        ),
    }


def measure(ways: dict[str, Way], files: list[bytes], rounds: int) -> dict[str, Any]:
    """Return median, minimum and maximum pictures a second of each way."""
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for number in track(range(rounds + 1), description="decoding", transient=True):
        for name, way in ways.items():
            start = time.perf_counter()
            way(files)
            # The first round warms up.
            if number:
                rates[name].append(len(files) / (time.perf_counter() - start))
    return {
        name: {
            "median": round(statistics.median(own), 1),
            "min": round(min(own), 1),
            "max": round(max(own), 1),
        }
        for name, own in rates.items()
    }


def show(run: dict[str, Any]) -> None:
    """Print the figures, also relative to Pillow's decoder alone."""
    figures = run["pictures a second"]
    ceiling = next(iter(figures.values()))["median"]
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for column in ("way", "pictures a second", "min", "max", "to Pillow's decoder"):
        table.add_column(column)
    for name, own in figures.items():
        table.add_row(name, *(f"{own[key]:.1f}" for key in own), f"{own['median'] / ceiling:.2f}")
    console = Console()
    console.print({key: value for key, value in run.items() if key != "pictures a second"}, table)


if __name__ == "__main__":
    typer.run(main)
