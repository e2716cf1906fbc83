"""The training data: the world, its sprites and backgrounds, and phrases with their teacher vectors."""

import random
from dataclasses import dataclass

from torch import Tensor

from training.backgrounds import draw_backgrounds
from training.phrases import compose
from training.scenes import SceneMaker
from training.schedule import Schedule
from training.sprites import draw_sprites
from training.teacher import teach
from training.wordnet import WordNet
from training.world import NEUTRAL_PHRASES, World, build_world


@dataclass(frozen=True)
class Material:
    """The data of both stages; vectors are from the sentence model, one row a phrase."""

    world: World
    scenes: SceneMaker
    words: Tensor
    neutral: Tensor
    #: More phrases for the text tower: common nouns, words held out of the pictures, compositions.
    other_phrases: tuple[str, ...]
    other: Tensor


def prepare(schedule: Schedule, seed: int) -> Material:
    """Prepare all training data; takes about two minutes, most of it for the sentence model."""
    world = build_world()
    sprites = draw_sprites(thing.symbol for thing in world.things)
    backgrounds = draw_backgrounds(schedule.backgrounds, seed, sprites)
    rng = random.Random(seed)
    nouns = WordNet.read().common_nouns
    phrases = (
        *nouns,
        *sorted(world.held_out.keys() - set(nouns)),
        *compose([*world.words, *nouns], schedule.compositions, rng),
    )
    return Material(
        world=world,
        scenes=SceneMaker(sprites, backgrounds, seed),
        words=teach(world.words),
        neutral=teach(NEUTRAL_PHRASES),
        other_phrases=phrases,
        other=teach(phrases),
    )
