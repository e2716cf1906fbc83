"""Brings a picture to the pixels its model computes with, by the rules of the model's own image processor."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

#: RGB, shape (height, width, 3).
Pixels = NDArray[np.uint8]

#: Processors scale the shorter side to the model's and then crop: of a 16384 x 1 picture they would first
#: make a strip of 800 million pixels. A longer picture is squeezed to this many times its shorter side.
MAX_ASPECT: Final = 32
#: Where transformers' search for a number of patches begins and ends.
_SMALLEST_SCALE, _LARGEST_SCALE, _SCALE_STEP = 1e-6, 100.0, 1e-5


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What an image processor does to a picture as long as it is one: resize, then crop; 0 is "not so".

    Everything after that (rescale, normalise, cut into patches) is arithmetic, and the encoder's. Plain
    numbers, so that it can be told to another process.
    """

    #: Pillow's number of the filter.
    resample: int
    #: Scaled to this size, whatever the shape was.
    width: int = 0
    height: int = 0
    #: Or scaled, in its own shape, until the shorter side has so many pixels.
    shortest_edge: int = 0
    #: Or scaled, nearly in its own shape, to whole patches of this side, so many at most (SigLIP 2's NaFlex).
    patch_side: int = 0
    max_patches: int = 0
    #: Then the centre of this size is cut out, with black around what is smaller.
    crop_width: int = 0
    crop_height: int = 0

    def resized(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the width and height that a picture of `size` is scaled to, before it is cropped."""
        width, height = bounded(size)
        if self.max_patches:
            return _whole_patches(width, height, self.patch_side, self.max_patches)
        if self.shortest_edge:
            longest_edge = int(self.shortest_edge * max(width, height) / min(width, height))
            short_first = width <= height
            return (self.shortest_edge, longest_edge) if short_first else (longest_edge, self.shortest_edge)
        return (self.width, self.height) if self.width else (width, height)

    def final(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the width and height that the model gets of a picture of `size`."""
        return (self.crop_width, self.crop_height) if self.crop_width else self.resized(size)

    @property
    def most_bytes(self) -> int:
        """Bytes of the largest prepared picture."""
        if self.max_patches:
            return 3 * self.max_patches * self.patch_side**2
        width, height = self.final((1, 1))
        return 3 * width * height

    def makes(self, width: int, height: int) -> bool:
        """Whether prepared pictures can have this size."""
        if self.max_patches:
            columns, rows = width // self.patch_side, height // self.patch_side
            whole = (columns * self.patch_side, rows * self.patch_side) == (width, height)
            return whole and 0 < columns * rows <= self.max_patches
        return (width, height) == self.final((1, 1))


def prepare(image: Image.Image, preprocessing: Preprocessing) -> Pixels:
    """Return the pixels of an RGB picture as its model wants them."""
    return prepare_parts(image, preprocessing, preprocessing.resized(image.size), 1)[0]


def prepare_parts(
    image: Image.Image, preprocessing: Preprocessing, target: tuple[int, int], count: int
) -> list[Pixels]:
    """Return `count` crops of an RGB picture scaled to `target`, evenly spaced along its long side.

    One alone is the centre, as the model's own image processor has it.
    """
    if bounded(image.size) != image.size:
        image = image.resize(bounded(image.size))
    image = image.resize(target, Image.Resampling(preprocessing.resample))
    if not preprocessing.crop_width:
        return [np.asarray(image)]
    return [np.asarray(image.crop(box)) for box in _boxes(image.size, preprocessing, count)]


def bounded(size: tuple[int, int]) -> tuple[int, int]:
    """Return `size` with its longer side at most `MAX_ASPECT` times the shorter one."""
    longest = MAX_ASPECT * min(size)
    return min(size[0], longest), min(size[1], longest)


def _boxes(
    size: tuple[int, int], preprocessing: Preprocessing, count: int
) -> list[tuple[int, int, int, int]]:
    width, height = preprocessing.crop_width, preprocessing.crop_height
    free = size[0] - width, size[1] - height
    lefts, tops = [free[0] // 2] * count, [free[1] // 2] * count
    if count > 1:
        along = 0 if size[0] >= size[1] else 1
        (lefts, tops)[along][:] = [number * free[along] // (count - 1) for number in range(count)]
    return [(left, top, left + width, top + height) for left, top in zip(lefts, tops, strict=True)]


def _whole_patches(width: int, height: int, side: int, count: int) -> tuple[int, int]:
    """Return the largest size of at most `count` patches, by the search that transformers does."""

    def patches(pixels: int, scale: float) -> int:
        return max(1, math.ceil(pixels * scale / side))

    smallest, largest = _SMALLEST_SCALE, _LARGEST_SCALE
    while largest - smallest >= _SCALE_STEP:
        scale = (smallest + largest) / 2
        if patches(width, scale) * patches(height, scale) <= count:
            smallest = scale
        else:
            largest = scale
    return patches(width, smallest) * side, patches(height, smallest) * side
