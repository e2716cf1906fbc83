import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image
from support.models import make_model
from support.pictures import drawing, prepared

from worker.encoder.towers.transformers_encoder import TransformersEncoder


@pytest.fixture(scope="module")
def encoder():
    return TransformersEncoder.load("demo")


@pytest.fixture
def tiny(tmp_path):
    return make_model("clip", tmp_path / "tiny")


def lengths(vectors):
    return np.linalg.norm(vectors, axis=1)


def test_vectors_have_length_one_and_the_shape_that_was_promised(encoder):
    images = encoder.encode_images(prepared(encoder, [drawing(), drawing(50, 300), drawing(96, 96)]))
    texts = encoder.encode_texts(["a fox", "a much longer phrase about a bear"])

    assert (images.shape, texts.shape) == ((3, encoder.info.dimension), (2, encoder.info.dimension))
    assert (images.dtype, texts.dtype) == (np.float32, np.float32)
    assert lengths(images) == pytest.approx(1, abs=1e-5)
    assert lengths(texts) == pytest.approx(1, abs=1e-5)


def test_nothing_becomes_no_vectors(encoder):
    assert encoder.encode_images([]).shape == (0, encoder.info.dimension)
    assert encoder.encode_texts([]).shape == (0, encoder.info.dimension)


def test_a_vector_does_not_depend_on_what_shares_the_pass(encoder):
    pictures = prepared(encoder, [drawing(), drawing(300, 200), Image.new("RGB", (10, 10), "red")])
    texts = ["a fox", "a bear beside a very long river", "an owl"]

    alone = [encoder.encode_images([picture])[0] for picture in pictures]
    apart = [encoder.encode_texts([text])[0] for text in texts]

    assert encoder.encode_images(pictures) == pytest.approx(np.array(alone), abs=1e-5)
    assert encoder.encode_texts(texts) == pytest.approx(np.array(apart), abs=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (3, 40), (40, 3), (4, 4)])
def test_tiny_pictures_are_encoded_like_any_other(encoder, size):
    pictures = prepared(encoder, [Image.new("RGB", size, "red")])

    assert lengths(encoder.encode_images(pictures)) == pytest.approx(1, abs=1e-5)


def test_a_phrase_beyond_the_models_window_is_cut_off(encoder):
    vectors = encoder.encode_texts(["a fox " * 200, "a fox " * 300])

    assert vectors[0] == pytest.approx(vectors[1])


def test_threads_get_what_one_thread_gets(encoder):
    drawings = [Image.new("RGB", (20 + n, 30), (8 * n, 255 - 8 * n, 60)) for n in range(24)]
    pictures = prepared(encoder, drawings)
    texts = ["a fox " * (1 + n % 5) + str(n) for n in range(24)]
    expected_images, expected_texts = encoder.encode_images(pictures), encoder.encode_texts(texts)

    with ThreadPoolExecutor(8) as pool:
        images = pool.map(lambda picture: encoder.encode_images([picture])[0], pictures)
        phrases = pool.map(lambda text: encoder.encode_texts([text])[0], texts)

        assert np.array(list(images)) == pytest.approx(expected_images, abs=1e-5)
        assert np.array(list(phrases)) == pytest.approx(expected_texts, abs=1e-5)


def test_scale_bias_and_pairing_are_the_models_own(tmp_path):
    clip, siglip, align = (
        TransformersEncoder.load(str(make_model(family, tmp_path / family)))
        for family in ("clip", "siglip", "align")
    )

    assert [clip.info.scale, siglip.info.scale, align.info.scale] == pytest.approx([12, 12, 12])
    assert [clip.info.bias, siglip.info.bias, align.info.bias] == [0, -1.5, 0]
    assert [clip.info.pairwise, siglip.info.pairwise, align.info.pairwise] == [False, True, False]


def test_weights_are_held_in_float32_whatever_the_file_holds(tmp_path):
    folder = make_model("clip", tmp_path / "half", dtype=torch.float16)

    encoder = TransformersEncoder.load(str(folder))

    weights = [*encoder.tower.model.parameters(), *encoder.texts._model.parameters()]  # type: ignore[attr-defined]
    assert {weight.dtype for weight in weights} == {torch.float32}


def test_the_digest_is_of_the_content_wherever_it_lies(tiny, tmp_path):
    copy = shutil.copytree(tiny, tmp_path / "copy")
    (copy / "README.md").write_text("a model card changes no vector")

    assert TransformersEncoder.load(str(copy)).info.digest == TransformersEncoder.load(str(tiny)).info.digest


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("model.safetensors", None, None),
        ("preprocessor_config.json", '"image_mean"', '"image_mean" '),
        ("tokenizer.json", '"version"', '"version" '),
        ("config.json", '"clip"', '"clip" '),
    ],
)
def test_the_digest_changes_with_weights_preprocessing_or_vocabulary(tiny, file, old, new):
    before = TransformersEncoder.load(str(tiny)).info.digest
    data = (tiny / file).read_bytes()
    changed = data.replace(old.encode(), new.encode()) if old else data[:-1] + bytes([data[-1] ^ 1])
    assert changed != data
    (tiny / file).write_bytes(changed)

    assert TransformersEncoder.load(str(tiny)).info.digest != before


def test_threads_are_bounded_where_somebody_says_so(tiny):
    before = torch.get_num_threads()
    try:
        TransformersEncoder.load(str(tiny), threads=1)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_loading_and_encoding_print_nothing(capfd):
    encoder = TransformersEncoder.load("demo")
    encoder.encode_images(prepared(encoder, [drawing()]))
    encoder.encode_texts(["a fox " * 99])

    assert capfd.readouterr() == ("", "")
