"""Resizes and crops a picture to the pixels that a model takes, as the model's image processor does."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

#: RGB, shape (height, width, 3).
Pixels = NDArray[np.uint8]

#: Processors scale the shorter side and then crop: a 16384 x 1 picture would become a strip of 800 million
#: pixels. A longer picture is squeezed to this many times its shorter side.
MAX_ASPECT: Final = 32
#: Bounds and step of transformers' binary search for a number of patches.
_SMALLEST_SCALE, _LARGEST_SCALE, _SCALE_STEP = 1e-6, 100.0, 1e-5


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """An image processor's steps on pixels: resize, then crop; 0 means that a step is left out.

    The encoder does the arithmetic after that (rescale, normalise, cut into patches). The fields are plain
    numbers, so that they can be sent to another process.
    """

    #: Pillow's number of the resampling filter.
    resample: int
    #: Resized to this size, whatever the shape.
    width: int = 0
    height: int = 0
    #: Or scaled, keeping the shape, until the shorter side has this number of pixels.
    shortest_edge: int = 0
    #: Or scaled, nearly keeping the shape, to whole patches of this side and at most this number (NaFlex).
    patch_side: int = 0
    max_patches: int = 0
    #: Then cropped to this size at the centre; a smaller picture is padded with black.
    crop_width: int = 0
    crop_height: int = 0

    def resized(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the width and height that a picture of `size` is scaled to before it is cropped."""
        width, height = bounded(size)
        if self.max_patches:
            return _whole_patches(width, height, self.patch_side, self.max_patches)
        if self.shortest_edge:
            longest_edge = int(self.shortest_edge * max(width, height) / min(width, height))
            short_first = width <= height
            return (self.shortest_edge, longest_edge) if short_first else (longest_edge, self.shortest_edge)
        return (self.width, self.height) if self.width else (width, height)

    def final(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the width and height of the model's input for a picture of `size`."""
        return (self.crop_width, self.crop_height) if self.crop_width else self.resized(size)

    @property
    def most_bytes(self) -> int:
        """Size of the largest prepared picture in bytes."""
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
    """Return an RGB picture as the model's input pixels."""
    return prepare_parts(image, preprocessing, preprocessing.resized(image.size), 1)[0]


def prepare_parts(
    image: Image.Image, preprocessing: Preprocessing, target: tuple[int, int], count: int
) -> list[Pixels]:
    """Return `count` crops of an RGB picture scaled to `target`, evenly spaced along its long side.

    With `count` 1, the centre, as in the model's own image processor.
    """
    if bounded(image.size) != image.size:
        image = image.resize(bounded(image.size))
    image = image.resize(target, Image.Resampling(preprocessing.resample))
    if not preprocessing.crop_width:
        return [np.asarray(image)]
    return [np.asarray(image.crop(box)) for box in crop_boxes(image.size, preprocessing, count)]


def bounded(size: tuple[int, int]) -> tuple[int, int]:
    """Return `size` with its longer side at most `MAX_ASPECT` times the shorter one."""
    longest = MAX_ASPECT * min(size)
    return min(size[0], longest), min(size[1], longest)


def crop_boxes(
    size: tuple[int, int], preprocessing: Preprocessing, count: int
) -> list[tuple[int, int, int, int]]:
    """Return left, top, right and bottom of `count` crops of a resized picture; they may exceed it."""
    width, height = preprocessing.crop_width, preprocessing.crop_height
    free = size[0] - width, size[1] - height
    lefts, tops = [free[0] // 2] * count, [free[1] // 2] * count
    if count > 1:
        along = 0 if size[0] >= size[1] else 1
        (lefts, tops)[along][:] = [number * free[along] // (count - 1) for number in range(count)]
    return [(left, top, left + width, top + height) for left, top in zip(lefts, tops, strict=True)]


def _whole_patches(width: int, height: int, side: int, count: int) -> tuple[int, int]:
    """Return the largest size of at most `count` patches, by the same search as transformers."""

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
