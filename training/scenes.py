"""Composes batches of scenes: stickers rotated, sheared, tinted and pasted on a background."""

import math
import random
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - PyTorch's own convention

from training.distortion import Distortion

#: The largest side of a sticker, as a share of the picture's side, by the number of stickers.
LARGEST = {1: 1.05, 2: 0.62, 3: 0.5, 4: 0.45}


class Box(NamedTuple):
    """The box of a sticker: centre and side, as shares of the picture's side."""

    x: float
    y: float
    side: float


@dataclass(frozen=True, slots=True)
class Scenes:
    """Pictures and what they show."""

    #: Shape (scenes, 3, side, side), float32 in 0..1.
    pictures: Tensor
    #: The things on each picture and their boxes, in the same order.
    things: list[list[int]]
    boxes: list[list[Box]]


class SceneMaker:
    """Makes scenes from sprites (things, 4, 96, 96) and backgrounds (n, 3, 128, 128), both uint8."""

    def __init__(self, sprites: Tensor, backgrounds: Tensor, seed: int) -> None:
        self._backgrounds = backgrounds
        # Each sprite at full, half and quarter size: downsampling a far larger one causes aliasing.
        self._levels = [F.avg_pool2d(sprites.float(), 2**n).round().to(torch.uint8) for n in range(3)]
        self._generator = torch.Generator().manual_seed(seed)
        self._distort = Distortion(self._generator)
        self._random = random.Random(seed)

    def make(
        self,
        things: list[list[int]],
        side: int,
        *,
        strength: float,
        sizes: tuple[float, float] = (0.28, 0.95),
    ) -> Scenes:
        """Draw one scene for each list of things; `strength` of distortion from 0 (none) to 1 (extreme)."""
        pictures = self._pick_backgrounds(len(things), side)
        boxes = [self._arrange(len(inside), sizes) for inside in things]
        for layer in range(max((len(inside) for inside in things), default=0)):
            rows = [row for row, inside in enumerate(things) if len(inside) > layer]
            sprites = torch.tensor([things[row][layer] for row in rows])
            self._paste(pictures, rows, sprites, [boxes[row][layer] for row in rows], strength)
        return Scenes(self._distort.delivery(pictures, strength), things, boxes)

    def random_state(self) -> tuple[Any, Tensor]:
        """Return the random state, for a checkpoint."""
        return self._random.getstate(), self._generator.get_state()

    def restore_random_state(self, state: tuple[Any, Tensor]) -> None:
        """Resume from a checkpoint."""
        self._random.setstate(state[0])
        self._generator.set_state(state[1])

    def _pick_backgrounds(self, count: int, side: int) -> Tensor:
        chosen = torch.randint(0, len(self._backgrounds), (count,), generator=self._generator)
        room = self._backgrounds.shape[-1] - side
        top, left = torch.randint(0, room + 1, (2,), generator=self._generator).tolist()
        pictures = self._backgrounds[chosen][:, :, top : top + side, left : left + side].float() / 255
        flips = [axis for axis in (2, 3) if self._random.random() < 0.5]
        return self._distort.colours(pictures.flip(flips), 1.0)

    def _arrange(self, count: int, sizes: tuple[float, float]) -> list[Box]:
        """Place stickers so that they hardly overlap; shrink them if there is no room."""
        largest = min(sizes[1], LARGEST.get(count, 0.45))
        smallest = min(sizes[0], largest * 0.6)
        boxes: list[Box] = []
        for _ in range(count):
            low, high = smallest, largest
            for attempt in range(24):
                box = self._random_box(low, high)
                if all(math.dist(box[:2], other[:2]) > 0.4 * (box.side + other.side) for other in boxes):
                    break
                if attempt > 12:
                    low, high = low * 0.93, max(low, high * 0.95)
            boxes.append(box)
        return boxes

    def _random_box(self, low: float, high: float) -> Box:
        side = self._random.uniform(low, high)
        margin = min(0.5, side * 0.425)
        x, y = (margin + (1 - 2 * margin) * self._random.random() for _ in range(2))
        return Box(x, y, side)

    def _paste(
        self, pictures: Tensor, rows: list[int], sprites: Tensor, boxes: list[Box], strength: float
    ) -> None:
        """Paste one sticker on each of the pictures `rows`, in place."""
        rgba = self._warped(sprites, boxes, pictures.shape[-1], strength)
        alpha, colours, below = rgba[:, 3:], rgba[:, :3], pictures[rows]
        if strength > 0:
            colours = self._distort.colours(colours, 0.55 * strength, alpha)
            below = self._with_sticker_border(below, alpha)
            opacity = 1 - self._distort.chance(0.15, len(rows), 1, 1, 1) * self._distort.uniform(
                len(rows), 1, 1, 1, high=0.4
            )
            colours, alpha = colours * opacity, alpha * opacity
        pictures[rows] = below * (1 - alpha) + colours

    def _with_sticker_border(self, below: Tensor, alpha: Tensor) -> Tensor:
        """Paste the white or coloured border of a cut-out under one sticker in ten."""
        n = len(below)
        border = F.max_pool2d(alpha, 5, 1, 2) * self._distort.chance(0.1, n, 1, 1, 1)
        colour = torch.where(
            self._distort.chance(0.5, n, 1, 1, 1), 1.0, self._distort.uniform(n, 3, 1, 1).round()
        )
        return below * (1 - border) + colour * border

    def _warped(self, sprites: Tensor, boxes: list[Box], side: int, strength: float) -> Tensor:
        """Return the sprites rotated, flipped, stretched, sheared and bent into place, (n, 4, side, side)."""
        sizes = torch.tensor([box.side for box in boxes])
        grid = F.affine_grid(self._affine(boxes, strength), [len(boxes), 4, side, side], align_corners=False)
        if strength > 0 and self._random.random() < 0.5:
            bend = self._distort.normal(len(boxes), 2, 4, 4) * 0.06 * strength
            grid = grid + F.interpolate(bend, (side, side), mode="bicubic", align_corners=True).permute(
                0, 2, 3, 1
            )
        rgba = torch.zeros(len(boxes), 4, side, side)
        full = self._levels[0].shape[-1]
        limits = (math.inf, 0.66 * full, 0.33 * full, 0.0)
        for level, (upper, lower) in zip(self._levels, pairwise(limits), strict=True):
            here = ((sizes * side <= upper) & (sizes * side > lower)).nonzero()[:, 0]
            if len(here):
                rgba[here] = F.grid_sample(
                    level[sprites[here]].float() / 255, grid[here], align_corners=False
                )
        return rgba

    def _affine(self, boxes: list[Box], strength: float) -> Tensor:
        """Return the maps from picture to sprite coordinates, shape (n, 2, 3)."""
        n = len(boxes)
        centre_x, centre_y, size = torch.tensor(boxes).T
        angle = self._distort.normal(n) * 0.25 * strength
        angle = torch.where(
            self._distort.chance(0.1 * strength, n), self._distort.uniform(n, low=-1.6, high=1.6), angle
        )
        flip = torch.where(self._distort.chance(0.4 * min(strength, 1), n), -1.0, 1.0)
        stretch = torch.exp(self._distort.normal(n) * 0.12 * strength)
        shear = self._distort.normal(n) * 0.1 * strength
        scale_x, scale_y = flip / (size * stretch), stretch / size
        cos, sin = torch.cos(angle), torch.sin(angle)
        linear = torch.stack(
            [
                torch.stack([cos * scale_x, (sin + shear) * scale_x], -1),
                torch.stack([-sin * scale_y, cos * scale_y], -1),
            ],
            -2,
        )
        offset = -torch.stack([2 * centre_x - 1, 2 * centre_y - 1], -1)
        return torch.cat([linear, linear @ offset[..., None]], -1)
