"""The pictures that are judged: drawn on the spot, or the operator's own; no two with the same bytes."""

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
#: So many are drawn, or taken of a folder, from all over it; decoding them takes turns.
DRAWN: Final = 8
_MOST_OWN: Final = 64
#: They are held in memory, since what the disk does is no part of what is measured.
_MOST_BYTES: Final = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Original:
    """A picture's bytes, and the ending of its file's name."""

    data: bytes
    suffix: str


@dataclass
class Pictures:
    """Pictures to judge, as many as are asked for: every file has bytes that no other has."""

    #: What they are, for people.
    what: str
    originals: Sequence[Original]
    #: Files of the operator's that cannot be judged.
    left_out: int = 0
    _mark: str = field(default_factory=lambda: secrets.token_hex(4))
    _numbers: "count[int]" = field(default_factory=count)

    @property
    def mean_bytes(self) -> int:
        """How large a file is."""
        return sum(len(one.data) for one in self.originals) // len(self.originals)

    def next(self) -> Original:
        """Return a picture that looks like others, but has bytes of its own."""
        number = next(self._numbers)
        original = self.originals[number % len(self.originals)]
        # Decoders stop where a picture ends; what lies behind is the file's, and so its digest's.
        return Original(original.data + f"\n{self._mark}-{number}".encode(), original.suffix)


def drawn_pictures() -> Pictures:
    """Draw pictures."""
    originals = [Original(draw(seed), ".jpg") for seed in range(DRAWN)]
    return Pictures(f"drawn JPEGs of {SIZE[0]} x {SIZE[1]}", originals)


def own_pictures(folder: Path, decoder: DecoderPool, preprocessing: Preprocessing) -> Pictures:
    """Take the pictures of a folder, at most 64 from all over it; what cannot be judged is left out.

    UsageError where there is no such folder, or none of its files can be judged.
    """
    files = find_files([folder])
    found: list[Original] = []
    problem, left_out = "", 0
    for file in files[:: max(1, len(files) // _MOST_OWN)][:_MOST_OWN]:
        if sum(len(one.data) for one in found) > _MOST_BYTES:
            break
        try:
            one = Original(read_named_file(file, decoder.limits), file.suffix)
            # As it will be sent: some format might not bear what is written behind its end.
            decoder.decode(Pictures("", [one]).next().data, preprocessing)
            found.append(one)
        except PermanentError as refusal:
            problem, left_out = f"{file.name}: {refusal.message}", left_out + 1
    if not found:
        raise UsageError(f"no picture in {folder} can be judged; {problem}")
    return Pictures(f"{len(found)} pictures of {folder}", found, left_out)


def draw(seed: int) -> bytes:
    """Return a JPEG with edges and grain about as photographs have them."""
    rng = np.random.default_rng(seed)
    shapes = Image.fromarray(rng.integers(0, 256, (30, 40, 3), np.uint8)).resize(
        SIZE, Image.Resampling.BICUBIC
    )
    grain = rng.normal(0, 6, (SIZE[1], SIZE[0], 3))
    pixels = np.clip(np.asarray(shapes.filter(ImageFilter.UnsharpMask(8))) + grain, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=85)
    return file.getvalue()
