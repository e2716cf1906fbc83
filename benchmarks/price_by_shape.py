"""Measure what the squares of wide and tall pictures cost: pictures a second by shape, with and without.

    MODERATION_MODEL=... python benchmarks/price_by_shape.py [--out benchmarks/results/price_by_shape.json]

From bytes to vectors, in a worker's batches. "One square" is the centre crop that every picture used to get.
The ways take turns, round after round; the figures are medians.
"""

import io
import json
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from circumstances import circumstances
from PIL import Image
from rich.console import Console

from worker.bench.pictures import draw
from worker.encoder.protocol import Encoder
from worker.images.parts import MOST_PARTS
from worker.images.processes.pool import DecoderPool
from worker.settings import Settings
from worker.wiring.components import open_decoder, open_encoder

SHAPES: Final = {"4:3": (1600, 1200), "16:9": (1920, 1080), "1080 x 2400": (1080, 2400)}
WAYS: Final = {"one square": 1, "squares": MOST_PARTS}


def main(
    pictures: Annotated[int, typer.Option(min=1, help="Pictures of a shape in a round.")] = 16,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds.")] = 5,
    out: Annotated[Path | None, typer.Option(help="Write the figures as JSON.")] = None,
) -> None:
    """Print pictures a second."""
    settings = Settings()
    files = {shape: [drawn(seed, size) for seed in range(pictures)] for shape, size in SHAPES.items()}
    rates: dict[str, dict[str, list[float]]] = {shape: {way: [] for way in WAYS} for shape in SHAPES}
    with open_decoder(settings) as decoder, open_encoder(settings) as encoder:
        for number in range(rounds + 1):
            for shape, own in files.items():
                for way, most in WAYS.items():
                    seconds = timed(own, decoder, encoder, most)
                    # The first round warms up.
                    if number:
                        rates[shape][way].append(len(own) / seconds)
        model = Path(encoder.name).name
    run: dict[str, Any] = {
        **circumstances(__file__, "pillow", "torch"),
        "model": model,
        "precision": settings.precision,
        "pictures a second": {
            shape: {way: round(statistics.median(rate), 1) for way, rate in ways.items()}
            for shape, ways in rates.items()
        },
    }
    Console().print(run)
    if out:
        out.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")


def timed(files: Sequence[bytes], decoder: DecoderPool, encoder: Encoder, most: int) -> float:
    """Return the seconds from bytes to vectors for all files."""

    def embed(data: bytes) -> None:
        made = decoder.decode(data, encoder.preprocessing, most_parts=most)
        encoder.encode_images(list(made.pixels))

    with ThreadPoolExecutor(16) as threads:
        start = time.perf_counter()
        list(threads.map(embed, files))
        return time.perf_counter() - start


def drawn(seed: int, size: tuple[int, int]) -> bytes:
    """Return a JPEG of this size."""
    file = io.BytesIO()
    with Image.open(io.BytesIO(draw(seed))) as picture:
        picture.resize(size).save(file, "JPEG", quality=85)
    return file.getvalue()


if __name__ == "__main__":
    typer.run(main)
