"""Draws backgrounds that show nothing: plain colours, gradients, waves, clouds, shapes, blurred collages."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from torch import Tensor

BACKGROUND_SIDE = 128
Picture = NDArray[np.floating]


def draw_backgrounds(count: int, seed: int, sprites: Tensor) -> Tensor:
    """Return `count` backgrounds, shape (count, 3, 128, 128), uint8."""
    rng = np.random.default_rng(seed)
    return (
        torch.from_numpy(np.stack([_draw(rng, sprites) for _ in range(count)]))
        .permute(0, 3, 1, 2)
        .contiguous()
    )


def _draw(rng: Generator, sprites: Tensor) -> NDArray[np.uint8]:
    kind = int(rng.integers(10))
    painters: tuple[Callable[[Generator], Picture], ...] = (
        _plain,
        _gradient,
        _gradient,
        _waves,
        _clouds,
        _clouds,
    )
    if kind < len(painters):
        picture = painters[kind](rng)
    elif kind < 9:
        picture = _shapes(rng)
    else:
        picture = _blurred_collage(rng, sprites)
    if rng.random() < 0.3:
        channels = 1 if rng.random() < 0.5 else 3
        picture = picture + rng.normal(0, rng.uniform(0, 0.08), (*picture.shape[:2], channels))
    return (np.clip(picture, 0, 1) * 255).astype(np.uint8)


def _colour(rng: Generator) -> Picture:
    return rng.random(3).astype(np.float32)


def _blend(rng: Generator, weight: Picture) -> Picture:
    return weight * _colour(rng) + (1 - weight) * _colour(rng)


def _grid() -> tuple[Picture, Picture]:
    y, x = np.mgrid[0:BACKGROUND_SIDE, 0:BACKGROUND_SIDE].astype(np.float32) / BACKGROUND_SIDE
    return y, x


def _plain(rng: Generator) -> Picture:
    colour = (
        _colour(rng) if rng.random() < 0.6 else np.full(3, rng.choice([0, 0.2, 0.5, 0.8, 1.0]), np.float32)
    )
    return np.ones((BACKGROUND_SIDE, BACKGROUND_SIDE, 3), np.float32) * colour


def _gradient(rng: Generator) -> Picture:
    y, x = _grid()
    angle = rng.random() * 2 * np.pi
    t = (
        np.cos(angle) * x + np.sin(angle) * y
        if rng.random() < 0.6
        else np.hypot(x - rng.random(), y - rng.random())
    )
    return _blend(rng, ((t - t.min()) / (np.ptp(t) + 1e-6))[..., None])


def _waves(rng: Generator) -> Picture:
    y, x = _grid()
    angle = rng.random() * np.pi
    wave = np.sin((np.cos(angle) * x + np.sin(angle) * y) * 2 * np.pi * rng.uniform(2, 16))
    if rng.random() < 0.4:
        wave = wave * np.sin(
            (np.cos(angle + 1.57) * x + np.sin(angle + 1.57) * y) * 2 * np.pi * rng.uniform(2, 16)
        )
    return _blend(rng, (1 / (1 + np.exp(-wave * rng.uniform(1, 20))))[..., None])


def _noise(rng: Generator, cells: int) -> Picture:
    small = Image.fromarray((rng.random((cells, cells, 3)) * 255).astype(np.uint8))
    large = small.resize((BACKGROUND_SIDE, BACKGROUND_SIDE), Image.Resampling.BICUBIC)
    return np.asarray(large).astype(np.float32) / 255


def _clouds(rng: Generator) -> Picture:
    octaves = [
        (cells, rng.uniform(0.3, 1) * cells ** -rng.uniform(0.4, 1.2)) for cells in (2, 4, 8, 16, 32, 64)
    ]
    total = sum((weight * _noise(rng, cells) for cells, weight in octaves), np.zeros(1, np.float32))
    total = (total - total.min()) / (np.ptp(total) + 1e-6)
    return _blend(rng, total[..., :1]) if rng.random() < 0.6 else total


def _shapes(rng: Generator) -> Picture:
    """Draw "dead leaves": overlapping shapes of many sizes, with statistics like those of a photograph."""
    picture = Image.new("RGB", (BACKGROUND_SIDE, BACKGROUND_SIDE), _bytes(_colour(rng)))
    draw = ImageDraw.Draw(picture)
    palette = [_colour(rng) for _ in range(rng.integers(2, 9))]
    for _ in range(rng.integers(3, 90)):
        colour = palette[rng.integers(len(palette))] + rng.normal(0, 0.06, 3)
        _shape(rng, draw, _bytes(np.clip(colour, 0, 1)))
    array = np.asarray(picture).astype(np.float32) / 255
    if rng.random() < 0.5:
        array = array + (_noise(rng, 32).mean(-1, keepdims=True) - 0.5) * rng.uniform(0, 0.5)
    return array


def _shape(rng: Generator, draw: ImageDraw.ImageDraw, colour: tuple[int, int, int]) -> None:
    r = BACKGROUND_SIDE * min(0.6, 0.03 / max(rng.random(), 0.05))
    x, y = rng.random(2) * BACKGROUND_SIDE
    kind = rng.random()
    if kind < 0.3:
        flat = r * rng.uniform(0.4, 1)
        draw.ellipse((x - r, y - flat, x + r, y + flat), fill=colour)
    elif kind < 0.6:
        angles = np.sort(rng.random(rng.integers(3, 7))) * 2 * np.pi
        reach = r * rng.uniform(0.5, 1, len(angles))
        draw.polygon(
            list(zip(x + reach * np.cos(angles), y + reach * np.sin(angles), strict=True)), fill=colour
        )
    elif kind < 0.8:
        draw.rectangle((x - r, y - r * 0.6, x + r, y + r * 0.6), fill=colour)
    else:
        slope = 2 * r * rng.uniform(-1, 1)
        draw.line((x - 2 * r, y - slope, x + 2 * r, y + slope), fill=colour, width=int(rng.integers(1, 6)))


def _blurred_collage(rng: Generator, sprites: Tensor) -> Picture:
    picture = Image.new("RGB", (BACKGROUND_SIDE, BACKGROUND_SIDE), _bytes(_colour(rng)))
    for _ in range(rng.integers(3, 8)):
        side = int(rng.integers(40, 160))
        sprite = Image.fromarray(sprites[rng.integers(len(sprites))].permute(1, 2, 0).numpy()).resize(
            (side, side)
        )
        place = (int(rng.integers(-40, BACKGROUND_SIDE)), int(rng.integers(-40, BACKGROUND_SIDE)))
        picture.paste(sprite, place, sprite)
    blurred = picture.filter(ImageFilter.GaussianBlur(float(rng.uniform(9, 22))))
    return np.asarray(blurred).astype(np.float32) / 255


def _bytes(colour: Picture) -> tuple[int, int, int]:
    red, green, blue = (colour * 255).astype(int).tolist()
    return red, green, blue
