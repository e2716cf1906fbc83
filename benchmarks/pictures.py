"""JPEGs with edges and grain about as photographs have them, and any number of different files of them."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

SIZE = (1600, 1200)
#: As many are drawn for a supply; bytes behind a JPEG's end make different files of them.
DRAWN = 16


def draw(seed: int) -> bytes:
    """Return a JPEG of SIZE."""
    rng = np.random.default_rng(seed)
    shapes = Image.fromarray(rng.integers(0, 256, (30, 40, 3), np.uint8)).resize(
        SIZE, Image.Resampling.BICUBIC
    )
    grain = rng.normal(0, 6, (SIZE[1], SIZE[0], 3))
    pixels = np.clip(np.asarray(shapes.filter(ImageFilter.UnsharpMask(8))) + grain, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=85)
    return file.getvalue()


@dataclass
class Supply:
    """Writes pictures that nobody has seen into a folder."""

    folder: Path
    _drawn: Sequence[bytes] = field(default_factory=lambda: [draw(seed) for seed in range(DRAWN)])
    _numbers: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)

    @contextmanager
    def new(self, number: int) -> Iterator[list[Path]]:
        """Yield so many new files, which are gone afterwards."""
        files = [self._write(next(self._numbers), n) for n in range(number)]
        yield files
        for file in files:
            file.unlink()

    def _write(self, serial: int, place: int) -> Path:
        file = self.folder / f"picture-{serial}.jpg"
        file.write_bytes(self._drawn[place % len(self._drawn)] + file.name.encode())
        return file
