"""How many squares a wide or tall picture is judged by, and what they cover."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from worker.images.parts import LEAST_PARTS, MOST_PARTS, MOST_VIEWS, Parts
from worker.images.preprocessing import Preprocessing, prepare_parts

CLIP = Preprocessing(3, shortest_edge=224, crop_width=224, crop_height=224)
#: More is cropped than the ends of the long side.
ROOMY = Preprocessing(2, shortest_edge=256, crop_width=224, crop_height=224)
SQUASHED = Preprocessing(3, width=96, height=96)
SQUASHED_AND_CROPPED = Preprocessing(3, width=289, height=289, crop_width=289, crop_height=289)
PATCHES = Preprocessing(2, patch_side=16, max_patches=256)
sides = st.integers(1, 16_384)


@pytest.mark.parametrize(
    ("size", "count", "share"),
    [
        ((1000, 1000), 1, 1.0),
        ((1600, 1200), 1, 0.75),
        ((1200, 1600), 1, 0.75),
        ((1500, 1000), 2, 1.0),
        ((1920, 1080), 3, 1.0),
        ((1080, 1920), 3, 1.0),
        ((1080, 2400), 3, 1.0),
        ((3600, 1000), 5, 1.0),
        ((6000, 1000), 6, 1.0),
        ((1000, 10_000), 6, 0.6),
        ((16_384, 1), 6, 6 / 32),
        ((1, 16_384), 6, 6 / 32),
    ],
)
def test_a_model_that_crops_gets_as_many_squares_as_cover_the_picture(size, count, share):
    parts = Parts.of(size, CLIP)
    assert (parts.count, parts.preprocessing) == (count, CLIP)
    assert parts.area_share == pytest.approx(share, abs=0.01)


@pytest.mark.parametrize("rule", [SQUASHED, SQUASHED_AND_CROPPED])
def test_a_model_that_squashes_gets_squares_of_what_it_would_not_recognise(rule):
    assert Parts.of((1920, 1080), rule) == Parts(1, 1.0, rule)
    assert Parts.of((1080, 2400), rule).count == 3
    for size in ((3600, 1000), (1000, 3600)):
        parts = Parts.of(size, rule)
        assert (parts.count, parts.area_share) == (5, 1.0)
        assert parts.preprocessing.final(size) == rule.final(size)
        assert max(parts.preprocessing.resized(size)) == int(3.6 * rule.width)


@given(sides, sides)
def test_a_model_that_keeps_the_shape_sees_all_in_one_part(width, height):
    assert Parts.of((width, height), PATCHES) == Parts(1, 1.0, PATCHES)


def test_what_a_crop_leaves_out_of_the_short_side_is_not_looked_at_either():
    assert Parts.of((1000, 1000), ROOMY).area_share == (224 / 256) ** 2
    assert Parts.of((2000, 1000), ROOMY).area_share == 224 / 256


@pytest.mark.parametrize("rule", [CLIP, ROOMY, SQUASHED])
@given(sides, sides)
def test_the_share_is_what_the_squares_cover(rule, width, height):
    parts = Parts.of((width, height), rule)
    size, final = (cut((width, height)) for cut in (parts.preprocessing.resized, parts.preprocessing.final))
    long = 0 if size[0] >= size[1] else 1
    free, crop = max(0, size[long] - final[long]), final[long]
    covered = {
        pixel
        for part in range(parts.count)
        for start in [part * free // (parts.count - 1) if parts.count > 1 else free // 2]
        for pixel in range(start, min(start + crop, size[long]))
    }
    across = min(1.0, final[1 - long] / size[1 - long])
    assert parts.area_share == pytest.approx(len(covered) / size[long] * across, abs=0.01)
    assert 1 <= parts.count <= MOST_PARTS


@given(sides, sides, st.integers(1, 128), st.integers(1, MOST_PARTS))
def test_however_often_a_picture_is_shown_its_views_are_bounded(width, height, shown, most):
    parts = Parts.of((width, height), CLIP, shown=shown, most=most)
    assert parts.count <= max(LEAST_PARTS, MOST_VIEWS // shown)
    assert parts.count <= most
    if most == 1:
        assert (parts.count, parts.preprocessing) == (1, CLIP)


@pytest.mark.parametrize("shown", [1, 8, 9, 16, 17, 32, 64, 256])
def test_however_many_frames_are_shown_the_sides_of_a_wide_picture_are_seen(shown):
    parts = Parts.of((1920, 1080), CLIP, shown=shown)
    assert (parts.count, parts.area_share) == (3, 1.0)


def test_a_strip_fills_no_memory():
    strip = Image.new("RGB", (16_384, 1), "red")
    parts = Parts.of(strip.size, CLIP)
    target = parts.preprocessing.resized(strip.size)
    assert target == (32 * 224, 224)
    made = prepare_parts(strip, parts.preprocessing, target, parts.count)
    assert [(one.shape, one[..., 0].min()) for one in made] == [((224, 224, 3), 255)] * 6
