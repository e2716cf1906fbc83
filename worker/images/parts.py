"""Chooses the squares along the long side that a wide or tall picture is judged by.

A model that crops sees the centre alone, and the rest is not judged. A model that squashes sees all of it,
but cannot recognise what a long picture shows. A model that keeps the shape always has one part.

Squares leave no gap, which would be a fixed place to hide something in: a picture too long for its squares is
squeezed until they cover it.
"""

import math
from dataclasses import dataclass
from typing import Final

from worker.images.preprocessing import Preprocessing, bounded

#: A crop that leaves out no more than a quarter is left as it is: 4:3 has one part.
_CROPPED_UP_TO: Final = 1.34
#: 16:9 is squashed as the models that do so were trained; objects in longer pictures are beyond recognition.
#: What is squeezed further than this counts as seen in proportion.
SQUASHED_UP_TO: Final = 1.8
#: From one part to the next at most, in their widths. Closer ones find as much and cost more; from end to end
#: without overlap they cut through what lies between two (benchmarks/README.md, recall by place).
_STEP: Final = 0.7
#: What one picture may cost: parts of a frame, and views of all its frames on all its pages. Many frames cost
#: more, for without parts an object at the side would be seen in none of them.
MOST_PARTS: Final = 6
MOST_VIEWS: Final = 32
#: Parts that a picture may have however many frames it shows: 16:9 is covered by them.
LEAST_PARTS: Final = 3


@dataclass(frozen=True, slots=True)
class Parts:
    """How many parts a picture has, evenly spaced from end to end, how they are made, and what they cover."""

    count: int
    #: Of the picture, what the parts show; of what is squeezed too far to be recognised, a part of that.
    area_share: float
    preprocessing: Preprocessing
    #: Width and height to which the whole picture is resized before the parts are cropped.
    resized: tuple[int, int]

    @classmethod
    def of(
        cls, size: tuple[int, int], preprocessing: Preprocessing, *, shown: int = 1, most: int = MOST_PARTS
    ) -> "Parts":
        """Return the parts of a picture of `size` that has `shown` frames on all pages together."""
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


def _as_crops(size: tuple[int, int], preprocessing: Preprocessing) -> Preprocessing:
    """Return how squares of a picture are made: one that would be squashed too far is cropped instead."""
    if not preprocessing.width or max(size) <= SQUASHED_UP_TO * min(size):
        return preprocessing
    width, height = preprocessing.final(size)
    edge = height if size[0] >= size[1] else width
    return Preprocessing(preprocessing.resample, shortest_edge=edge, crop_width=width, crop_height=height)


def _lengths(size: tuple[int, int], preprocessing: Preprocessing) -> tuple[int, int, int, int]:
    """Return the long and the short side of a resized picture, then what a crop keeps of either."""
    width, height = preprocessing.resized(size)
    crop_width, crop_height = preprocessing.final(size)
    if width >= height:
        return width, height, crop_width, crop_height
    return height, width, crop_height, crop_width


def _wanted(ratio: float) -> int:
    return 1 if ratio <= _CROPPED_UP_TO else 1 + math.ceil((ratio - 1) / _STEP)
