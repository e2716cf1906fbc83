"""Our own pre-processing gives the vectors that transformers' own gives; a scaled decode moves them a little."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from moderation_demo import MODEL, PICTURES
from PIL import Image
from support.decoders import LIMITS, open_pool
from support.models import make_model
from support.pictures import drawing
from transformers import (
    AutoImageProcessor,
    CLIPImageProcessorPil,
    SiglipImageProcessorPil,
)
from transformers.models.efficientnet.image_processing_pil_efficientnet import EfficientNetImageProcessorPil

from worker.encoder.towers.image_processor import ImageProcessor
from worker.encoder.towers.transformers_encoder import TransformersEncoder
from worker.errors import ModelError, UndecodablePictureError
from worker.images.decoding.decoder import decode
from worker.images.preprocessing import prepare

SHARED = Path(__file__).parents[4] / "shared"
PHOTO_MODEL, PHOTOS = SHARED / "models" / "photo-zero-shot", SHARED / "photos"

#: What a scaled decode may cost: the cosine with the vector of the whole picture, and its mean.
SCALED_MIN, SCALED_MEAN = 0.999, 0.9995

needs_photos = pytest.mark.skipif(
    not (PHOTOS.is_dir() and PHOTO_MODEL.is_dir()), reason="../shared/photos and its model are not here"
)


@pytest.fixture(scope="module")
def pool():
    with open_pool() as opened:
        yield opened


def photographs():
    """Return a third of the photographs, which show what all of them do."""
    return [file.read_bytes() for file in sorted(PHOTOS.glob("*.JPEG"))[::3]]


def demo_pictures(pool, encoder):
    """Return those of the demo's pictures that decode."""
    whole = []
    for file in sorted((PICTURES).iterdir()):
        try:
            pool.decode(file.read_bytes(), encoder.info.preprocessing)
        except UndecodablePictureError:
            continue
        whole.append(file.read_bytes())
    return whole


def our_vectors(pool, encoder, pictures, *, scaled):
    pixels = [
        pool.decode(data, encoder.info.preprocessing, scaled=scaled, most_parts=1).pixels[0]
        for data in pictures
    ]
    return np.concatenate([encoder.encode_images(pixels[n : n + 16]) for n in range(0, len(pixels), 16)])


def their_vectors(folder, encoder, pictures):
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    vectors = []
    for data in pictures:
        inputs = processor(images=[decode(data, LIMITS).frames[0]], return_tensors="pt")
        with torch.inference_mode():
            vectors.append(encoder.tower.model.get_image_features(**inputs).pooler_output[0].numpy())
    return np.array([vector / np.linalg.norm(vector) for vector in vectors])


def check_same(ours, theirs):
    cosines = (ours * theirs).sum(axis=1)
    assert len(cosines) > 50
    # Far more than the 0.999 that was asked for: the pixels are the same.
    assert cosines.min() > 0.99999


@needs_photos
@pytest.mark.slow
def test_photographs_get_the_vectors_of_transformers_own_processor(pool):
    encoder, pictures = TransformersEncoder.load(str(PHOTO_MODEL)), photographs()

    ours = our_vectors(pool, encoder, pictures, scaled=False)

    check_same(ours, their_vectors(PHOTO_MODEL, encoder, pictures))


def test_the_demos_pictures_get_the_vectors_of_transformers_own_processor(pool):
    encoder = TransformersEncoder.load("demo")
    pictures = demo_pictures(pool, encoder)

    ours = our_vectors(pool, encoder, pictures, scaled=False)

    check_same(ours, their_vectors(MODEL, encoder, pictures))


def check_moved_little(pool, encoder, pictures, record_property):
    exact, scaled = (our_vectors(pool, encoder, pictures, scaled=scaled) for scaled in (False, True))
    cosines = (exact * scaled).sum(axis=1)
    moved = int((cosines < 0.999999).sum())
    told = f"{moved} of {len(pictures)} moved; cosine at least {cosines.min():.5f}, mean {cosines.mean():.5f}"
    record_property("scaled decode", told)
    print(told)  # noqa: T201
    assert moved > len(pictures) / 4, "too few are large enough to show anything"
    assert cosines.min() > SCALED_MIN
    assert cosines.mean() > SCALED_MEAN


@needs_photos
@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_scaled_decode_moves_photographs_little(pool, record_property):
    """These are small, and telephones' are not: every third, enlarged fourfold."""
    encoder = TransformersEncoder.load(str(PHOTO_MODEL))
    pictures = [enlarged(data, 4) for data in photographs()]

    check_moved_little(pool, encoder, pictures, record_property)


def test_a_scaled_decode_moves_the_demos_pictures_little(pool, record_property):
    encoder = TransformersEncoder.load("demo")

    check_moved_little(pool, encoder, demo_pictures(pool, encoder), record_property)


def enlarged(data, factor):
    with Image.open(io.BytesIO(data)) as small:
        size = (factor * small.width, factor * small.height)
        large = small.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    file = io.BytesIO()
    large.save(file, "JPEG", quality=90)
    return file.getvalue()


@pytest.mark.parametrize(
    "processor",
    [
        CLIPImageProcessorPil(),
        CLIPImageProcessorPil(size={"shortest_edge": 50}, crop_size={"height": 64, "width": 48}, resample=2),
        CLIPImageProcessorPil(size={"height": 96, "width": 80}, do_center_crop=False, resample=1),
        CLIPImageProcessorPil(do_resize=False, do_normalize=False),
        CLIPImageProcessorPil(do_rescale=False, image_mean=[100, 110, 120], image_std=[60, 61, 62]),
        SiglipImageProcessorPil(size={"height": 256, "width": 256}),
        # ALIGN's own: kakaobrain/align-base
        EfficientNetImageProcessorPil(
            size={"height": 346, "width": 346},
            crop_size={"height": 289, "width": 289},
            do_center_crop=True,
            rescale_factor=1 / 127.5,
            rescale_offset=True,
            do_normalize=False,
            include_top=False,
        ),
        EfficientNetImageProcessorPil(do_center_crop=True, include_top=True),
    ],
)
def test_every_processor_of_the_families_is_described(processor):
    described = ImageProcessor.describe(processor, "model")

    picture = drawing(333, 251)
    ours = described.inputs([prepare(picture, described.preprocessing)])
    theirs = processor(images=[picture], return_tensors="pt")
    assert torch.allclose(ours["pixel_values"], theirs["pixel_values"], atol=1e-4)


class Sharpened(CLIPImageProcessorPil):
    """Does one thing more than its configuration says."""

    def rescale(self, image, scale, **options):  # type: ignore[override]
        return super().rescale(image, scale, **options) ** 1.1


@pytest.mark.parametrize(
    ("processor", "why"),
    [
        (CLIPImageProcessorPil(do_pad=True, pad_size={"height": 300, "width": 300}), "differ from ours"),
        (CLIPImageProcessorPil(size={"shortest_edge": 50, "longest_edge": 90}), "longest_edge"),
        (CLIPImageProcessorPil(do_center_crop=False), "no fixed size"),
        (Sharpened(), "differ from ours by 0.1"),
        (CLIPImageProcessorPil(image_std=[0, 0, 0]), "model"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_a_processor_that_does_something_else_is_refused(processor, why):
    with pytest.raises(ModelError, match="not reproduced here") as refused:
        ImageProcessor.describe(processor, "model")

    assert why in refused.value.message


def test_a_model_with_such_a_processor_is_refused_in_a_line(tmp_path):
    folder = make_model("clip", tmp_path / "odd")
    config = folder / "preprocessor_config.json"
    config.write_text(config.read_text().replace('"do_center_crop": true', '"do_center_crop": false'))

    with pytest.raises(ModelError, match="not reproduced here"):
        TransformersEncoder.load(str(folder))
