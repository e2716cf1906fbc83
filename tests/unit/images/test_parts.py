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
        ((1000, 10_000), 6, 1.0),
        ((1000, 16_000), 6, 1.8 * 6 / 16),
        ((16_384, 1), 6, 1.8 * 6 / 16_384),
        ((1, 16_384), 6, 1.8 * 6 / 16_384),
    ],
)
def test_a_model_that_crops_gets_as_many_squares_as_cover_the_picture(size, count, share):
    parts = Parts.of(size, CLIP)
    assert (parts.count, parts.preprocessing) == (count, CLIP)
    assert parts.area_share == pytest.approx(share, abs=0.01)


@pytest.mark.parametrize("rule", [SQUASHED, SQUASHED_AND_CROPPED])
def test_a_model_that_squashes_gets_squares_of_what_it_would_not_recognise(rule):
    assert Parts.of((1920, 1080), rule) == Parts(1, 1.0, rule, (rule.width, rule.height))
    assert Parts.of((1080, 2400), rule).count == 3
    for size in ((3600, 1000), (1000, 3600)):
        parts = Parts.of(size, rule)
        assert (parts.count, parts.area_share) == (5, 1.0)
        assert parts.preprocessing.final(size) == rule.final(size)
        assert max(parts.resized) == int(3.6 * rule.width)


@given(sides, sides)
def test_a_model_that_keeps_the_shape_sees_all_in_one_part(width, height):
    size = width, height
    assert Parts.of(size, PATCHES) == Parts(1, 1.0, PATCHES, PATCHES.resized(size))


def test_what_a_crop_leaves_out_of_the_short_side_is_not_looked_at_either():
    assert Parts.of((1000, 1000), ROOMY).area_share == (224 / 256) ** 2
    assert Parts.of((2000, 1000), ROOMY).area_share == 224 / 256


@pytest.mark.parametrize("rule", [CLIP, ROOMY, SQUASHED])
@given(sides, sides, st.integers(1, 128))
def test_squares_have_no_gap_between_them(rule, width, height, shown):
    size = width, height
    parts = Parts.of(size, rule, shown=shown)
    final = parts.preprocessing.final(size)
    long = 0 if parts.resized[0] >= parts.resized[1] else 1
    across = min(1.0, final[1 - long] / parts.resized[1 - long])
    if parts.count == 1:
        assert parts.resized == rule.resized(size)
        assert parts.area_share == pytest.approx(min(1.0, final[long] / parts.resized[long]) * across)
    else:
        assert parts.resized[long] <= parts.count * final[long]
        assert parts.resized[1 - long] == parts.preprocessing.resized(size)[1 - long]
        ratio = max(size) / min(size) * parts.resized[1 - long] / parts.resized[long]
        assert parts.area_share == pytest.approx(min(1.0, 1.8 / ratio) * across, rel=0.01)
    assert 1 <= parts.count <= MOST_PARTS


@pytest.mark.parametrize("size", [(9600, 1000), (1000, 9600)])
def test_a_mark_anywhere_on_a_long_picture_is_in_one_of_its_squares(size):
    parts = Parts.of(size, CLIP)
    long = 0 if size[0] >= size[1] else 1
    for place in range(0, max(size), 160):
        picture = Image.new("RGB", size)
        corner = (place, 0) if long == 0 else (0, place)
        picture.paste("white", (*corner, corner[0] + 160, corner[1] + 160))
        made = prepare_parts(picture, parts.preprocessing, parts.resized, parts.count)
        assert max(int(one.max()) for one in made) > 200


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


def test_a_wide_animation_of_many_frames_is_squeezed_until_its_squares_cover_it():
    parts = Parts.of((4000, 1000), CLIP, shown=16)
    assert (parts.count, parts.resized, parts.area_share) == (3, (3 * 224, 224), 1.0)


def test_a_strip_fills_no_memory():
    strip = Image.new("RGB", (16_384, 1), "red")
    parts = Parts.of(strip.size, CLIP)
    assert parts.resized == (6 * 224, 224)
    made = prepare_parts(strip, parts.preprocessing, parts.resized, parts.count)
    assert [(one.shape, one[..., 0].min()) for one in made] == [((224, 224, 3), 255)] * 6


@pytest.mark.parametrize("size", [(400, 300), (1200, 300), (300, 1100), (640, 480), (4000, 300)])
@pytest.mark.parametrize("preprocessing", [CLIP, ROOMY, SQUASHED], ids=["crops", "crops more", "squashes"])
def test_a_parts_place_is_where_its_pixels_come_from(size, preprocessing):
    # Red grows from left to right, green from top to bottom.
    across = Image.linear_gradient("L").rotate(90).resize(size)
    down = Image.linear_gradient("L").resize(size)
    image = Image.merge("RGB", (across, down, Image.new("L", size)))
    parts = Parts.of(size, preprocessing)
    crops = prepare_parts(image, parts.preprocessing, parts.resized, parts.count)
    for number, crop in enumerate(crops):
        place = parts.place(number)
        shares = crop[:, :, 0].mean() / 255, crop[:, :, 1].mean() / 255
        middle = (place.left + place.right) / 2, (place.top + place.bottom) / 2
        assert shares == pytest.approx(middle, abs=0.02)
        spread = crop[:, :, 0].max() / 255 - crop[:, :, 0].min() / 255
        assert spread == pytest.approx(place.right - place.left, abs=0.03)
