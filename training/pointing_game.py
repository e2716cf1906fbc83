"""Measures heat maps on pictures in which an object's place is known (the pointing game).

Zhang et al. 2016, "Top-down Neural Attention by Excitation Backprop": a map wins if its highest cell lies on
the object that was asked for.
"""

import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.backgrounds import draw_backgrounds
from training.distortion import to_image
from training.phrases import with_article
from training.scenes import Box, SceneMaker
from training.sprites import draw_sprites
from worker.domain.moderation.scoring import Vector
from worker.encoder.explaining.protocol import Cells
from worker.encoder.protocol import Encoder
from worker.images.parts import Place
from worker.images.preprocessing import Pixels, prepare

SIDE: Final = 96
_STRENGTH: Final = 0.4
_BACKGROUNDS: Final = 40


@dataclass(frozen=True, slots=True)
class Target:
    """A prepared picture, what is asked of it, and where that lies."""

    pixels: Pixels
    #: The vector of the object's phrase minus that of the nearest background phrase, shape (dimension,).
    direction: Vector
    place: Place


@dataclass(frozen=True, slots=True)
class Figures:
    """How well a method does; shares are 0 to 1."""

    targets: int
    #: Share of targets in which the highest cell lies on the object.
    pointing: float
    #: Mean share of the heat that lies on the object, and of the picture.
    energy: float
    chance: float
    #: Of a map.
    milliseconds: float


def scene_targets(
    encoder: Encoder, things: Sequence[tuple[str, str]], background: Sequence[str], count: int, seed: int
) -> list[Target]:
    """Return both objects of `count` // 2 scenes as targets; `things` are symbols and their names."""
    dice = random.Random(seed)
    sprites = draw_sprites(symbol for symbol, _ in things)
    maker = SceneMaker(sprites, draw_backgrounds(_BACKGROUNDS, seed, sprites), seed)
    inside = [dice.sample(range(len(things)), 2) for _ in range(count // 2)]
    scenes = maker.make(inside, SIDE, strength=_STRENGTH)
    pictures = [prepare(to_image(one), encoder.info.preprocessing) for one in scenes.pictures]
    phrases = [with_article(f"a sticker of a {name}") for _, name in things]
    directions = contrasts(encoder, pictures, phrases, background)
    return [
        Target(picture, directions(number, thing), _place(box))
        for number, picture in enumerate(pictures)
        for thing, box in zip(scenes.things[number], scenes.boxes[number], strict=True)
    ]


def contrasts(
    encoder: Encoder, pictures: Sequence[Pixels], phrases: Sequence[str], background: Sequence[str]
) -> Callable[[int, int], Vector]:
    """Return a function of a picture's and a phrase's number.

    It returns the vector of the phrase minus that of the background phrase nearest to the picture.
    """
    vectors, others = encoder.encode_texts(phrases), encoder.encode_texts(background)
    nearest = (encoder.encode_images(pictures) @ others.T).argmax(1)
    return lambda picture, phrase: vectors[phrase] - others[nearest[picture]]


def play(explain: Callable[[Pixels, Vector], Cells], targets: Iterable[Target]) -> Figures:
    """Explain every target, and compare the maps with the places."""
    started, rows = time.perf_counter(), []
    for target in targets:
        cells = explain(target.pixels, target.direction)
        inside = _inside(target.place, cells.shape)
        highest = np.unravel_index(int(cells.argmax()), cells.shape)
        total = float(cells.sum())
        rows.append((inside[highest], float(cells[inside].sum()) / total if total else 0.0, inside.mean()))
    spent = time.perf_counter() - started
    pointing, energy, chance = np.array(rows, float).mean(0).tolist()
    return Figures(len(rows), pointing, energy, chance, 1000 * spent / len(rows))


def _inside(place: Place, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return which cells have their centre in a place."""
    rows, columns = ((np.arange(count) + 0.5) / count for count in shape)
    vertical = (place.top <= rows) & (rows <= place.bottom)
    horizontal = (place.left <= columns) & (columns <= place.right)
    return vertical[:, None] & horizontal[None]


def _place(box: Box) -> Place:
    half = box.side / 2
    return Place(box.x - half, box.y - half, box.x + half, box.y + half)
