"""The pictures of a run, drawn or the operator's; no two submissions have the same bytes."""

import io
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageFilter

from worker.errors import PermanentError, UsageError
from worker.images.preprocessing import Preprocessing
from worker.images.processes.pool import DecoderPool
from worker.images.sources.folder import find_files
from worker.images.sources.reader import read_named_file

SIZE: Final = (1600, 1200)
#: How many are drawn; and how many at most are taken from a folder, evenly spread. They are cycled through.
DRAWN: Final = 8
_MOST_OWN: Final = 64
#: Originals are kept in memory, so that the disk does not distort the figures.
_MOST_BYTES: Final = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Original:
    """The bytes of a picture, and its file extension."""

    data: bytes
    suffix: str


@dataclass
class Pictures:
    """An endless supply of pictures; every file has distinct bytes."""

    #: A description for people.
    what: str
    originals: Sequence[Original]
    #: Number of the operator's files that cannot be judged.
    left_out: int = 0
    _mark: str = field(default_factory=lambda: secrets.token_hex(4))
    _numbers: "count[int]" = field(default_factory=count)

    @property
    def mean_bytes(self) -> int:
        """The mean size of a file."""
        return sum(len(one.data) for one in self.originals) // len(self.originals)

    def next(self) -> Original:
        """Return the next picture: it looks like others, but its bytes are distinct."""
        number = next(self._numbers)
        original = self.originals[number % len(self.originals)]
        # Decoders stop at the end of a picture; bytes after it change only the file's digest.
        return Original(original.data + f"\n{self._mark}-{number}".encode(), original.suffix)


def drawn_pictures() -> Pictures:
    """Draw JPEGs."""
    originals = [Original(draw(seed), ".jpg") for seed in range(DRAWN)]
    return Pictures(f"drawn JPEGs of {SIZE[0]} x {SIZE[1]}", originals)


def own_pictures(folder: Path, decoder: DecoderPool, preprocessing: Preprocessing) -> Pictures:
    """Read the pictures of a folder, at most 64 spread evenly over it; skip those that cannot be judged.

    UsageError if there is no such folder, or if none of its files can be judged.
    """
    files = find_files([folder])
    found: list[Original] = []
    problem, left_out = "", 0
    for file in files[:: max(1, len(files) // _MOST_OWN)][:_MOST_OWN]:
        if sum(len(one.data) for one in found) > _MOST_BYTES:
            break
        try:
            one = Original(read_named_file(file, decoder.limits), file.suffix)
            # With the bytes that are appended later: some format may not allow any after its end.
            decoder.decode(Pictures("", [one]).next().data, preprocessing)
            found.append(one)
        except PermanentError as refusal:
            problem, left_out = f"{file.name}: {refusal.message}", left_out + 1
    if not found:
        raise UsageError(f"no picture in {folder} can be judged; {problem}")
    return Pictures(f"{len(found)} pictures of {folder}", found, left_out)


def draw(seed: int) -> bytes:
    """Return a JPEG with edges and grain like those of a photograph."""
    rng = np.random.default_rng(seed)
    shapes = Image.fromarray(rng.integers(0, 256, (30, 40, 3), np.uint8)).resize(
        SIZE, Image.Resampling.BICUBIC
    )
    grain = rng.normal(0, 6, (SIZE[1], SIZE[0], 3))
    pixels = np.clip(np.asarray(shapes.filter(ImageFilter.UnsharpMask(8))) + grain, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=85)
    return file.getvalue()
