"""JPEGs with edges and grain about as photographs have them, and any number of different files of them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from worker.bench.pictures import draw

#: As many are drawn for a supply; bytes behind a JPEG's end make different files of them.
DRAWN = 16


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
