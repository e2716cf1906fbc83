"""Supply any number of different JPEGs with edges and grain like those of photographs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from worker.bench.pictures import draw

#: Distinct pictures of a supply; bytes after the end of the JPEG make each file different.
DRAWN = 16


@dataclass
class Supply:
    """Writes new pictures into a folder: no worker has their vectors."""

    folder: Path
    _drawn: Sequence[bytes] = field(default_factory=lambda: [draw(seed) for seed in range(DRAWN)])
    _numbers: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)

    @contextmanager
    def new(self, number: int) -> Iterator[list[Path]]:
        """Yield this number of new files; delete them afterwards."""
        files = [self._write(next(self._numbers), n) for n in range(number)]
        yield files
        for file in files:
            file.unlink()

    def _write(self, serial: int, place: int) -> Path:
        file = self.folder / f"picture-{serial}.jpg"
        file.write_bytes(self._drawn[place % len(self._drawn)] + file.name.encode())
        return file
