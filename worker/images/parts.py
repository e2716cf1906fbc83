"""Splits a wide or tall picture into squares along its long side (parts), each judged by the model.

Otherwise a model that crops would judge only the centre, and a model that squashes would see all of a long
picture but recognise little in it. For a model that keeps the shape, a picture always has one part.

Parts leave no gap, which would be a fixed place to hide something in: a picture too long for its parts is
squeezed until they cover it.
"""

import math
from dataclasses import dataclass
from typing import Final

from worker.images.preprocessing import Preprocessing, bounded, crop_boxes

#: Up to this aspect ratio one crop is enough, which leaves out at most a quarter: 4:3 has one part.
_CROPPED_UP_TO: Final = 1.34
#: 16:9 is squashed, as in the training of models that squash; objects in longer pictures are not recognised.
#: A picture that is squeezed further counts as seen in proportion.
SQUASHED_UP_TO: Final = 1.8
#: Largest distance between neighbouring parts, in part widths. Closer parts find no more and cost more; parts
#: without overlap cut through objects between them (benchmarks/README.md, recall by place).
_STEP: Final = 0.7
#: Limits on the cost of one picture: parts of a frame, and views of all its frames on all its pages. Many
#: frames may exceed the latter: without parts, an object at the side would be seen in none of them.
MOST_PARTS: Final = 6
MOST_VIEWS: Final = 32
#: Parts that a picture may have whatever its number of frames; they cover 16:9.
LEAST_PARTS: Final = 3


@dataclass(frozen=True, slots=True)
class Place:
    """A rectangle in a picture, as shares of its width and height from the left and the top.

    It exceeds 0..1 if a model pads small pictures.
    """

    left: float = 0.0
    top: float = 0.0
    right: float = 1.0
    bottom: float = 1.0


@dataclass(frozen=True, slots=True)
class Parts:
    """Parts of a picture, evenly spaced from end to end: their number, how to crop them, what they show."""

    count: int
    #: Share of the picture that the parts show; reduced if it is squeezed too far to be recognised.
    area_share: float
    preprocessing: Preprocessing
    #: Width and height to which the whole picture is resized before the parts are cropped.
    resized: tuple[int, int]

    @classmethod
    def of(
        cls, size: tuple[int, int], preprocessing: Preprocessing, *, shown: int = 1, most: int = MOST_PARTS
    ) -> "Parts":
        """Return the parts of a picture of `size` with `shown` frames on all pages together."""
        room = max(1, min(most, max(LEAST_PARTS, MOST_VIEWS // shown)))
        crops = _as_crops(size, preprocessing) if room > 1 else preprocessing
        long, short, crop_long, crop_short = _lengths(size, crops)
        count = min(_wanted(long / crop_long), room)
        across = min(1.0, crop_short / short)
        if count == 1:
            return cls(1, min(1.0, crop_long / long) * across, crops, crops.resized(size))
        squeezed = min(long, count * crop_long)
        shape = (squeezed, short) if size[0] >= size[1] else (short, squeezed)
        squeeze = long / squeezed * max(size) / max(bounded(size))
        return cls(count, min(1.0, SQUASHED_UP_TO / squeeze) * across, crops, shape)

    def place(self, part: int) -> Place:
        """Return where a part lies in the whole picture."""
        if not self.preprocessing.crop_width:
            return Place()
        left, top, right, bottom = crop_boxes(self.resized, self.preprocessing, self.count)[part]
        width, height = self.resized
        return Place(left / width, top / height, right / width, bottom / height)


def _as_crops(size: tuple[int, int], preprocessing: Preprocessing) -> Preprocessing:
    """Return the preprocessing of the parts: a picture that would be squashed too far is cropped instead."""
    if not preprocessing.width or max(size) <= SQUASHED_UP_TO * min(size):
        return preprocessing
    width, height = preprocessing.final(size)
    edge = height if size[0] >= size[1] else width
    return Preprocessing(preprocessing.resample, shortest_edge=edge, crop_width=width, crop_height=height)


def _lengths(size: tuple[int, int], preprocessing: Preprocessing) -> tuple[int, int, int, int]:
    """Return the long and the short side of a resized picture, then those of a crop."""
    width, height = preprocessing.resized(size)
    crop_width, crop_height = preprocessing.final(size)
    if width >= height:
        return width, height, crop_width, crop_height
    return height, width, crop_height, crop_width


def _wanted(ratio: float) -> int:
    return 1 if ratio <= _CROPPED_UP_TO else 1 + math.ceil((ratio - 1) / _STEP)
