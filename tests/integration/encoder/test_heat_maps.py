"""Heat maps of real models: they point at the object that was asked for, and each family has its method."""

import numpy as np
import pytest
import torch
from moderation_demo import PICTURES
from PIL import Image
from support.models import make_model
from support.pictures import drawing, prepared

from training.pointing_game import play, scene_targets
from training.sprites import FONT
from worker.encoder.explaining.model_explainer import ModelExplainer
from worker.encoder.explaining.occlusion import Occlusion
from worker.encoder.explaining.protocol import Contrast, Method
from worker.encoder.towers.transformers_encoder import TransformersEncoder

BACKGROUND = ["an ordinary picture", "an everyday scene", "nothing in particular", "an abstract pattern"]
THINGS = [
    *(("🔫", "pistol"), ("🗡", "dagger"), ("💣", "bomb"), ("🍺", "beer mug"), ("🚬", "cigarette")),
    *(("💊", "pill"), ("⚰", "coffin"), ("🐱", "cat"), ("🐶", "dog"), ("🍎", "apple"), ("🚗", "car")),
    *(("🌵", "cactus"), ("🎸", "guitar"), ("🏰", "castle"), ("🚲", "bicycle"), ("🎈", "balloon")),
    *(("🐬", "dolphin"), ("☂", "umbrella"), ("🔨", "hammer"), ("🍦", "ice cream"), ("🦊", "fox")),
]
PHRASES = Contrast("a dagger", "nothing in particular", ("a sticker of {}", "{}"))
METHODS = {
    "clip": Method.GRAD_ECLIP,
    "altclip": Method.GRAD_ECLIP,
    "chinese_clip": Method.GRAD_ECLIP,
    "metaclip_2": Method.GRAD_ECLIP,
    "align": Method.CLASS_ACTIVATION,
    "siglip": Method.OCCLUSION,
    "siglip2": Method.OCCLUSION,
}


@pytest.fixture(scope="module")
def bundled():
    return TransformersEncoder.load("demo", threads=1)


@pytest.fixture(scope="module")
def targets(bundled):
    if not FONT.is_file():
        pytest.skip("scenes need Debian's fonts-noto-color-emoji")
    return scene_targets(bundled, THINGS, BACKGROUND, count=60, seed=21)


def test_grad_eclip_points_at_the_object(bundled, targets):
    explainer = ModelExplainer(bundled).by
    assert explainer.method is Method.GRAD_ECLIP
    figures = play(explainer.explain_image, targets)
    assert (figures.targets, figures.pointing >= 0.95, figures.energy >= 0.85) == (60, True, True), figures
    assert figures.chance < 0.3


def test_occlusion_points_at_the_object(bundled, targets):
    figures = play(Occlusion(bundled).explain_image, targets[:10])
    assert figures.pointing >= 0.8, figures


def test_another_label_has_another_map(bundled, targets):
    explainer = ModelExplainer(bundled).by
    first, second = (explainer.explain_image(one.pixels, one.direction) for one in targets[:2])
    assert np.array_equal(targets[0].pixels, targets[1].pixels)
    assert first.argmax() != second.argmax()


@pytest.mark.parametrize("family", METHODS)
def test_each_family_has_its_method(family, tmp_path):
    encoder = TransformersEncoder.load(str(make_model(family, tmp_path / family)))
    explainer = ModelExplainer(encoder)
    assert explainer.model().method is METHODS[family]
    pixels = prepared(encoder, [drawing(80, 80)])[0]
    before = encoder.encode_images([pixels])
    cells = explainer.explain(pixels, PHRASES)
    assert (cells.dtype, cells.ndim) == (np.float32, 2)
    assert np.isfinite(cells).all()
    assert cells.min() >= 0
    # No hook and no gradient stays behind.
    assert np.array_equal(encoder.encode_images([pixels]), before)
    assert not any(weight.grad is not None for weight in encoder.tower.model.parameters())


def test_a_map_of_cells_adds_up_to_what_decided(tmp_path):
    encoder = TransformersEncoder.load(str(make_model("align", tmp_path / "align")))
    explainer = ModelExplainer(encoder).by
    pixels = prepared(encoder, [drawing(80, 80)])[0]
    direction = np.random.default_rng(3).standard_normal(encoder.info.dimension).astype(np.float32)
    both = [explainer.explain_image(pixels, signed) for signed in (direction, -direction)]
    with torch.inference_mode():
        pooled = encoder.tower(encoder.image_processor.inputs([pixels]))[0].numpy()
    assert (both[0] - both[1]).mean() == pytest.approx(float(pooled @ direction), rel=1e-3)


def test_a_decision_in_another_precision_is_of_the_same_model(bundled):
    known = ModelExplainer(bundled).model().digests
    assert bundled.info.digest in known
    halved = TransformersEncoder.load("demo", threads=1, precision="bfloat16")
    assert halved.info.digest in known
    with Image.open(PICTURES / "dagger-and-rose.jpg") as picture:
        (pixels,) = prepared(halved, [picture.convert("RGB")])
    maps = [ModelExplainer(one).explain(pixels, PHRASES) for one in (bundled, halved)]
    assert maps[0].any()
    assert np.corrcoef(maps[0].ravel(), maps[1].ravel())[0, 1] > 0.9
