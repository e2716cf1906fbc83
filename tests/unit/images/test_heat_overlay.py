"""Heat maps as people see them: the hottest place is the lightest, and nothing is drawn where none was looked."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from worker.images import heat_overlay
from worker.images.heat_overlay import LEVELS, SCALE, drawn_over, overlay
from worker.images.parts import Place

WHOLE = Place()


def heat_at(row, column, side=8):
    cells = np.zeros((side, side), np.float32)
    cells[row, column] = 0.003
    return cells


def lightness(pixels):
    """Return the relative luminance, which people see alike whatever their colour vision."""
    linear = (np.asarray(pixels, float)[..., :3] / 255) ** 2.2
    return linear @ [0.2126, 0.7152, 0.0722]


def test_the_scale_grows_steadily_lighter_and_its_blue_and_yellow_never_cross():
    steps = np.diff(lightness(np.array(SCALE)))
    assert (steps > 0.01).all()
    # Red and green stay together, so that no step rests on telling them apart.
    assert all(abs(red - green) <= 40 for red, green, _ in SCALE)


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (90, 60)])
@pytest.mark.parametrize("cell", [(1, 6), (5, 2), (0, 0)])
def test_the_hottest_cell_is_the_lightest_place(size, cell):
    drawn = np.asarray(overlay(heat_at(*cell), size, WHOLE))
    height, width = drawn.shape[:2]
    light = lightness(drawn)
    y, x = round((cell[0] + 0.5) / 8 * height), round((cell[1] + 0.5) / 8 * width)
    assert light[y, x] == pytest.approx(lightness(np.array(SCALE[-1])), abs=0.08)
    far = light[round((7.5 - cell[0]) / 8 * height), round((7.5 - cell[1]) / 8 * width)]
    assert far == pytest.approx(lightness(np.array(SCALE[0])), abs=0.02)


@pytest.mark.parametrize("size", [(1600, 1200), (3000, 500), (20, 900), (1, 16_000)])
def test_it_has_the_shape_in_which_the_picture_is_shown(size):
    drawn = overlay(heat_at(3, 3), size, WHOLE)
    shown = min(size[0], 32 * size[1]) / min(size[1], 32 * size[0])
    assert drawn.width / drawn.height == pytest.approx(shown, rel=0.02)


def test_nothing_is_drawn_outside_of_what_the_model_looked_at():
    drawn = np.asarray(overlay(heat_at(4, 4), (1200, 400), Place(0.25, 0, 0.5, 1)))
    columns = (drawn[:, :, 3] > 0).all(axis=0)
    width = len(columns)
    assert columns[round(0.26 * width) : round(0.49 * width)].all()
    assert not drawn[:, : round(0.24 * width), 3].any()
    assert not drawn[:, round(0.51 * width) :, 3].any()


def test_a_place_beyond_the_picture_is_cut_off():
    drawn = overlay(heat_at(4, 4), (100, 100), Place(-0.5, -0.5, 1.5, 1.5))
    assert drawn.size == (831, 831)
    assert np.asarray(drawn)[:, :, 3].all()


def test_each_level_has_its_line():
    cells = np.tile(np.linspace(0, 1, 8, dtype=np.float32), (8, 1))
    row = np.asarray(overlay(cells, (640, 480), WHOLE))[300]
    white = (row[:, :3] > 235).all(axis=1)
    assert np.count_nonzero(np.diff(white.astype(int)) == 1) == len(LEVELS)


def test_no_heat_is_drawn_as_such():
    drawn = np.asarray(overlay(np.zeros((7, 7), np.float32), (64, 64), WHOLE))
    assert len(np.unique(drawn.reshape(-1, 4), axis=0)) == 1


def test_the_legend_is_below_and_the_picture_is_seen_through_the_map():
    picture = Image.new("RGB", (64, 64), "white")
    picture.paste("black", (0, 0, 32, 64))
    layer = overlay(np.zeros((8, 8), np.float32), picture.size, WHOLE)
    page = np.asarray(drawn_over(picture, layer, "weapons: occlusion"))
    assert page.shape[0] > layer.height
    y = layer.height // 2
    assert lightness(page[y, 700]) > lightness(page[y, 100]) + 0.1
    assert (page[layer.height :] < 60).all(axis=2).sum() > 100


def test_an_overlay_for_browsers_keeps_its_transparency():
    data = heat_overlay.encoded(overlay(heat_at(1, 1), (400, 100), Place(0, 0, 0.25, 1)))
    with Image.open(BytesIO(data)) as read:
        assert read.format == "WEBP"
        assert np.asarray(read.convert("RGBA"))[:, -50:, 3].max() == 0
