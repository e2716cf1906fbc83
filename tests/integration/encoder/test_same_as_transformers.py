"""What `classify` shows is what transformers' own pipeline shows, for every family of models."""

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from moderation_demo import MODEL
from PIL import Image
from support.decoders import open_pool
from support.models import FAMILIES, make_model
from support.pictures import drawing, prepared

from worker.domain.moderation.scoring import rank_labels, score_pairs
from worker.encoder.hub import model_files
from worker.encoder.towers.transformers_encoder import TransformersEncoder
from worker.images.decoding.decoder import decode
from worker.images.limits import Limits
from worker.usecases.moderation.classify_pictures import ClassifyPictures

SHARED = Path(__file__).parents[4] / "shared"
PHOTO_MODEL = SHARED / "models" / "photo-zero-shot"

PHOTOS = (
    "n01558993_robin",
    "n02749479_assault_rifle",
    "n07892512_red_wine",
    "n04125021_safe",
    "n03461385_grocery_store",
)
TEMPLATE = "This is a photo of {}."
LABELS = ["a robin", "an assault rifle", "red wine", "a safe", "SHELVES in a grocery store, at night", "fox"]
LIMITS = Limits(max_bytes=20 * 2**20, max_pixels=50_000_000, max_side=16_384, max_frames=8)


def our_probabilities(encoder, pictures):
    texts = encoder.encode_texts([TEMPLATE.replace("{}", label) for label in LABELS])
    rank = score_pairs if encoder.pairwise else rank_labels
    vectors = encoder.encode_images(prepared(encoder, pictures))
    return [rank(vector, texts, encoder.scale, encoder.bias) for vector in vectors]


def pipeline_probabilities(folder, pictures, spelt=str):
    # The checkpoint's own number format may be float16, which is slow and rough on a CPU; ours is float32.
    pipeline = transformers.pipeline("zero-shot-image-classification", model=str(folder), dtype=torch.float32)
    labels, template = [spelt(label) for label in LABELS], spelt(TEMPLATE)
    results = [
        pipeline(picture, candidate_labels=labels, hypothesis_template=template) for picture in pictures
    ]
    return [[{r["label"]: r["score"] for r in result}[label] for label in labels] for result in results]


def check_same(ours, theirs):
    # A model that finds all labels alike would agree with anything.
    assert min(np.ptp(probabilities) for probabilities in ours) > 0.01
    assert np.abs(np.array(ours) - np.array(theirs)).max() < 1e-4


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_gives_the_probabilities_of_transformers_pipeline(family, tmp_path):
    folder = make_model(family, tmp_path / family)
    pictures = [
        drawing(64, 48),
        drawing(33, 200).rotate(180),
        Image.effect_noise((90, 90), 80).convert("RGB"),
    ]

    ours = our_probabilities(TransformersEncoder.load(str(folder)), pictures)

    # With Gemma's tokenizer it is SigLIP 2, which was trained on lower-cased text; the pipeline does not know.
    lower = str.lower if family == "siglip" else str
    check_same(ours, pipeline_probabilities(folder, pictures, lower))


def test_every_family_that_is_claimed_is_tested():
    assert set(FAMILIES) == model_files.FAMILIES


@pytest.mark.parametrize("size", [(300, 90), (90, 300)])
def test_classify_sees_the_centre_of_a_wide_picture_as_the_pipeline_does(size, tmp_path):
    folder, file = make_model("clip", tmp_path / "clip"), tmp_path / "wide.png"
    drawing(*size).save(file)
    with open_pool(processes=1) as pool:
        classify = ClassifyPictures(TransformersEncoder.load(str(folder)), pool, concurrency=1)
        (ranking,) = classify([file], LABELS, TEMPLATE)

    check_same(
        [[dict(ranking.scores)[label] for label in LABELS]], pipeline_probabilities(folder, [str(file)])
    )


@pytest.mark.slow
@pytest.mark.skipif(not PHOTO_MODEL.is_dir(), reason="../shared/models/photo-zero-shot is not here")
def test_photographs_get_the_probabilities_of_transformers_pipeline():
    files = [SHARED / "photos" / f"{name}.JPEG" for name in PHOTOS]
    pictures = [decode(file.read_bytes(), LIMITS).frames[0] for file in files]

    ours = our_probabilities(TransformersEncoder.load(str(PHOTO_MODEL)), pictures)

    check_same(ours, pipeline_probabilities(PHOTO_MODEL, [str(file) for file in files]))
    assert [int(np.argmax(probabilities)) for probabilities in ours] == [0, 1, 2, 3, 4]


def test_the_bundled_model_gives_the_probabilities_of_transformers_pipeline():
    pictures = [drawing(), drawing(400, 300), drawing(96, 96).rotate(90)]

    ours = our_probabilities(TransformersEncoder.load("demo"), pictures)

    check_same(ours, pipeline_probabilities(MODEL, pictures))
