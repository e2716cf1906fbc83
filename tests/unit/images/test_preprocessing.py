import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from transformers.models.siglip2.image_processing_pil_siglip2 import get_image_size_for_max_num_patches

from worker.images.preprocessing import Preprocessing, prepare, prepare_parts

EXACT = Preprocessing(3, width=40, height=30)
CROPPED = Preprocessing(3, shortest_edge=40, crop_width=32, crop_height=32)
PATCHES = Preprocessing(2, patch_side=16, max_patches=256)
sides = st.integers(1, 5_000)


@pytest.mark.parametrize("size", [(1, 1), (40, 30), (1000, 7), (7, 1000), (800, 600)])
@pytest.mark.parametrize(("rule", "shape"), [(EXACT, (30, 40, 3)), (CROPPED, (32, 32, 3))])
def test_whatever_the_size_the_model_gets_its_own(size, rule, shape):
    pixels = prepare(Image.new("RGB", size, "red"), rule)

    assert (pixels.shape, pixels.dtype) == (shape, np.uint8)
    assert rule.makes(shape[1], shape[0])
    assert rule.final(size) == (shape[1], shape[0])


def test_the_centre_is_cut_out():
    picture = Image.new("RGB", (120, 60), "red")
    picture.paste((0, 255, 0), (30, 0, 90, 60))
    rule = Preprocessing(0, shortest_edge=60, crop_width=60, crop_height=60)

    assert (prepare(picture, rule) == (0, 255, 0)).all()


@pytest.mark.parametrize(
    ("size", "firsts"),
    [((100, 40), [0, 30, 60]), ((40, 100), [0, 30, 60]), ((40, 40), [0, 0, 0])],
)
def test_parts_are_evenly_spaced_along_the_long_side_from_end_to_end(size, firsts):
    rule = Preprocessing(0, shortest_edge=40, crop_width=40, crop_height=40)
    ramp = np.arange(max(size), dtype=np.uint8)
    pixels = np.broadcast_to(ramp if size[0] >= size[1] else ramp[:, None], size[::-1])
    picture = Image.fromarray(pixels.copy()).convert("RGB")

    parts = prepare_parts(picture, rule, rule.resized(size), 3)

    assert [int(part.min()) for part in parts] == firsts
    assert all(part.shape == (40, 40, 3) for part in parts)


def test_around_what_is_smaller_than_the_cut_there_is_black():
    rule = Preprocessing(0, shortest_edge=3, crop_width=6, crop_height=6)

    pixels = prepare(Image.new("RGB", (3, 3), "white"), rule)

    # One more row above and left, as in transformers.
    assert (pixels[2:5, 2:5] == 255).all()
    assert pixels.sum() == 3 * 3 * 3 * 255


@pytest.mark.parametrize(
    ("size", "resized"), [((800, 600), (53, 40)), ((600, 800), (40, 53)), ((16_000, 1), (1280, 40))]
)
def test_the_shorter_side_decides_and_a_strip_does_not_fill_the_memory(size, resized):
    assert CROPPED.resized(size) == resized


@given(sides, sides)
def test_patches_are_counted_as_transformers_counts_them(width, height):
    columns, rows = PATCHES.resized((width, height))

    squeezed = min(width, 32 * height), min(height, 32 * width)
    assert (rows, columns) == get_image_size_for_max_num_patches(squeezed[1], squeezed[0], 16, 256)
    assert PATCHES.makes(columns, rows)


@pytest.mark.parametrize(
    ("rule", "size"),
    [(EXACT, (30, 40)), (CROPPED, (40, 40)), (PATCHES, (16, 17)), (PATCHES, (272, 272)), (PATCHES, (0, 16))],
)
def test_another_size_is_none_that_can_come_out(rule, size):
    assert not rule.makes(*size)
