"""Computes a coarse fingerprint (sketch) of each frame of an animation, to find nearly identical frames."""

from random import Random
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from worker.images.colours.colour import eight_bits

#: Sketch of one frame, shape (numbers,), or of many, shape (frames, numbers).
Sketch = NDArray[np.float32]

_CELLS: Final = 8
_PIXELS_A_CELL: Final = 8
_SIDE: Final = _CELLS * _PIXELS_A_CELL
#: A line drawing hardly changes a cell's mean; it shows in the contrast. On drawn clips a weight of 1 took
#: 100 different line drawings for the same, 2 none of them.
_CONTRAST_WEIGHT: Final = 2.0
#: Levels of 255 in the cell that differs most. `benchmarks/animations.py` measures its effect on ordinary
#: clips and on slide shows.
_NEARLY_THE_SAME: Final = 75.0


class Grid:
    """A grid of 8 x 8 cells over a frame, wrapped around its edges.

    The seed sets its offset: an uploader who gives the cells of two pictures the same mean and contrast
    cannot know which cells are compared.
    """

    def __init__(self, seed: bytes) -> None:
        random = Random(seed)
        self._shift = (random.randrange(1, _PIXELS_A_CELL), random.randrange(1, _PIXELS_A_CELL))

    def sketch(self, frame: Image.Image) -> Sketch:
        """Return mean and contrast of colour and alpha in each cell, from 0 to 255."""
        if frame.mode == "P":
            frame = frame.convert("RGBA")
        elif frame.mode.startswith("I;16"):
            frame = eight_bits(frame)
        small = frame.resize((_SIDE, _SIDE), Image.Resampling.BOX)
        with_alpha = small.convert("RGBA")
        means = self._cells(with_alpha.convert("RGBa")).mean(axis=(1, 3))
        contrasts = [self._contrast(small.convert("L"))]
        if small.has_transparency_data:
            contrasts.append(self._contrast(with_alpha.getchannel("A")))
        else:
            contrasts.append(np.zeros_like(contrasts[0]))
        return np.concatenate([means.ravel(), *contrasts])

    def _contrast(self, channel: Image.Image) -> Sketch:
        """Return the weighted standard deviation of each cell."""
        contrast: Sketch = _CONTRAST_WEIGHT * self._cells(channel).std(axis=(1, 3))
        return contrast.ravel()

    def _cells(self, small: Image.Image) -> NDArray[Any]:
        """Return the pixels of each cell, shape (cells, pixels, cells, pixels, channels)."""
        pixels = np.roll(np.asarray(small, np.float32), self._shift, (0, 1))
        return pixels.reshape(_CELLS, _PIXELS_A_CELL, _CELLS, _PIXELS_A_CELL, -1)


def differences(sketches: Sketch, index: int) -> NDArray[np.float32]:
    """Return the difference of each frame from the frame at `index`, shape (frames,)."""
    largest: NDArray[np.float32] = np.abs(sketches - sketches[index]).max(axis=1)
    return largest


def nearly_the_same(difference: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return a mask of the differences that count as nearly identical."""
    return difference <= _NEARLY_THE_SAME
