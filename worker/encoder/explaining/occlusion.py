"""Explains any model by covering parts of the picture and looking at how far the score falls (occlusion)."""

from collections.abc import Iterator
from typing import Final

import numpy as np

from worker.domain.moderation.scoring import Vector
from worker.encoder.explaining.protocol import Cells, Method
from worker.encoder.protocol import Encoder
from worker.images.preprocessing import Pixels

#: The map has this number of cells a side, and a window covers 2 x 2 of them: 49 places.
_CELLS: Final = 8
_WINDOW: Final = 2
#: Pictures in one pass through the model.
_BATCH: Final = 16


class Occlusion:
    """Zeiler and Fergus 2014, "Visualizing and Understanding Convolutional Networks", section 4.2.

    A window of a quarter of the side in the picture's mean colour moves by an eighth. A cell's heat is the
    mean fall of the cosine over the windows that cover it, if negative 0.
    """

    method = Method.OCCLUSION

    def __init__(self, encoder: Encoder) -> None:
        """Explain with the vectors of `encoder`: 50 pictures for one map."""
        self._encoder = encoder

    def explain_image(self, pixels: Pixels, direction: Vector) -> Cells:
        """Return the heat of 8 x 8 cells; see `PictureExplainer`."""
        places = [(row, column) for row in _starts() for column in _starts()]
        covered = [pixels, *_covered(pixels, places)]
        batches = [covered[start : start + _BATCH] for start in range(0, len(covered), _BATCH)]
        cosines = np.concatenate([self._encoder.encode_images(batch) @ direction for batch in batches])
        fall, windows = np.zeros((_CELLS, _CELLS), np.float32), np.zeros((_CELLS, _CELLS), np.float32)
        for (row, column), lost in zip(places, cosines[0] - cosines[1:], strict=True):
            fall[row : row + _WINDOW, column : column + _WINDOW] += lost
            windows[row : row + _WINDOW, column : column + _WINDOW] += 1
        heat: Cells = np.maximum(fall / windows, 0)
        return heat


def _starts() -> range:
    return range(_CELLS - _WINDOW + 1)


def _covered(pixels: Pixels, places: list[tuple[int, int]]) -> Iterator[Pixels]:
    """Yield the picture with its mean colour over the window at each place."""
    colour = pixels.mean((0, 1)).round().astype(np.uint8)
    rows, columns = (np.linspace(0, side, _CELLS + 1).round().astype(int) for side in pixels.shape[:2])
    for row, column in places:
        changed = pixels.copy()
        changed[rows[row] : rows[row + _WINDOW], columns[column] : columns[column + _WINDOW]] = colour
        yield changed
