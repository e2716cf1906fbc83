"""The script that makes the bundled model: every part of it runs, it learns, and an interruption changes nothing."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch.nn import functional as F  # noqa: N812

from training.__main__ import train
from training.backgrounds import draw_backgrounds
from training.earlier_model import embed_phrases, load
from training.material import Material
from training.model import build_model
from training.picture_stage import PictureStage
from training.scenes import SceneMaker
from training.schedule import SMOKE, Schedule
from training.sprites import SPRITE_SIDE
from training.teacher import DIMENSION
from training.tokenizer import train_tokenizer
from training.word_stage import WordStage
from training.world import Thing, World
from worker.encoder.towers.transformers_encoder import TransformersEncoder
from worker.images.preprocessing import prepare

pytestmark = pytest.mark.exhaustive
COLOURS = ("red", "green", "blue", "yellow")
SHAPES = ("disc", "square", "triangle")
#: One step of each stage, from what an earlier run left.
AGAIN_BRIEFLY = replace(
    SMOKE, phases=(replace(SMOKE.phases[0], steps=1),), word_steps=1, rate=0.1, known=True
)


def make_material() -> Material:
    """Return a world of twelve things that need no font: coloured shapes, and a teacher of random vectors."""
    generator = torch.Generator().manual_seed(1)
    things = tuple(Thing(f"{c}{s}", f"{c} {s}", (c, s), "shape") for c in COLOURS for s in SHAPES)
    names = [thing.name for thing in things]
    words = (*names, *COLOURS, *SHAPES)
    true = torch.tensor([[word in {thing.name, *thing.words} for thing in things] for word in words])
    sprites = torch.stack([draw(*name.split()) for name in names])

    def teach(count: int) -> torch.Tensor:
        return F.normalize(torch.randn(count, DIMENSION, generator=generator), dim=-1)

    other = tuple(f"thing number {n}" for n in range(40))
    return Material(
        world=World(things, words, true, held_out={}),
        scenes=SceneMaker(sprites, draw_backgrounds(8, 1, sprites), 1),
        words=teach(len(words)),
        neutral=teach(30),
        other_phrases=other,
        other=teach(len(other)),
    )


@pytest.fixture
def material() -> Material:
    return make_material()


@pytest.fixture(scope="module")
def first_run(tmp_path_factory) -> Path:
    """Return the folder of the model that a first run wrote."""
    folder = tmp_path_factory.mktemp("training")
    train(make_material(), replace(SMOKE, word_steps=60), folder / "work", folder / "model")
    return folder / "model"


def draw(colour: str, shape: str) -> torch.Tensor:
    picture = Image.new("RGBA", (SPRITE_SIDE, SPRITE_SIDE))
    pen, inside = ImageDraw.Draw(picture), (4, 4, SPRITE_SIDE - 4, SPRITE_SIDE - 4)
    if shape == "disc":
        pen.ellipse(inside, fill=colour)
    elif shape == "square":
        pen.rectangle(inside, fill=colour)
    else:
        pen.polygon([(SPRITE_SIDE // 2, 4), inside[2:], (4, SPRITE_SIDE - 4)], fill=colour)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


def stage_of(material: Material, schedule: Schedule = SMOKE) -> PictureStage:
    torch.manual_seed(0)
    model = build_model(train_tokenizer(material.world.words, 600))
    true, words, neutral, other = material.world.true, material.words, material.neutral, material.other
    return PictureStage(model, material.scenes, true, words, neutral, other, schedule, seed=0)


def word_stage_of(material: Material) -> WordStage:
    torch.manual_seed(0)
    tokenizer = train_tokenizer(material.world.words, 600)
    phrases, count = material.world.words, len(material.world.words)
    targets = F.normalize(torch.randn(count + len(material.other_phrases), 256), dim=-1)
    model = build_model(tokenizer)
    return WordStage(
        model, tokenizer, phrases, targets[:count], material.other_phrases, targets[count:], SMOKE, seed=0
    )


def test_it_writes_a_model_that_is_loaded_like_any_other(first_run):
    assert (first_run / "model.safetensors").stat().st_mode & 0o777 == 0o644
    encoder = TransformersEncoder.load(str(first_run))
    assert encoder.encode_texts(["a red disc"]).shape == (1, 256)
    pixels = prepare(Image.new("RGB", (50, 40)), encoder.info.preprocessing)
    assert encoder.encode_images([pixels]).shape == (1, 256)


def test_a_second_run_goes_on_where_the_first_one_ended(first_run, material, tmp_path):
    first, phrases = load(first_run), [*material.world.words, *material.other_phrases]
    vectors = embed_phrases(first, phrases)
    train(material, AGAIN_BRIEFLY, tmp_path / "again", tmp_path / "second", start=first_run)
    second = load(tmp_path / "second")
    assert second.tokenizer.get_vocab() == first.tokenizer.get_vocab()
    # One step of the words' stage moves what the first run says, but does not replace it.
    assert F.cosine_similarity(embed_phrases(second, phrases), vectors).mean() > 0.8


def test_pictures_find_their_words(material):
    singles = replace(SMOKE.phases[0], steps=30)
    losses = list(stage_of(material, replace(SMOKE, phases=(singles,))).run())
    first, last = (sum(loss["words"] for loss in part) / 5 for part in (losses[:5], losses[-5:]))
    # It becomes 0.66 of it; 0.95 and more if the pictures of a batch change places.
    assert last < 0.8 * first


def test_phrases_find_their_targets(material):
    stage = word_stage_of(material)
    stage.schedule = replace(SMOKE, word_steps=40)
    losses = [loss["distance"] for loss in stage.run()]
    assert losses[-1] < 0.8 * losses[0]


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Leave PyTorch one thread: sums over several differ in their last bits from run to run."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("make", [stage_of, word_stage_of])
def test_an_interruption_changes_nothing(material, make: Callable[[Material], PictureStage | WordStage]):
    scenes_at_start = material.scenes.random_state()
    straight = make(material)
    list(straight.run())

    material.scenes.restore_random_state(scenes_at_start)
    interrupted = make(material)
    steps = interrupted.run()
    for _ in range(4):
        next(steps)
    # As a checkpoint does it: the step just taken counts.
    kept = copy.deepcopy(interrupted.state() | {"step": interrupted.step_number + 1})
    torch.manual_seed(99)
    resumed = make(material)
    resumed.restore(kept)
    list(resumed.run())
    for name, value in straight.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name


def test_the_same_words_make_the_same_tokenizer(material):
    first, second = (train_tokenizer([*material.world.words, *material.other_phrases], 700) for _ in range(2))
    assert first.get_vocab() == second.get_vocab()
    assert first.tokenize("a yellow triangle") == second.tokenize("a yellow triangle")
    assert first("ünknown 🂡").input_ids.count(first.eos_token_id) == 1
