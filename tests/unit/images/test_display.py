"""Pictures for people's eyes keep their shape, and a veil lets through no more than grey cells."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from worker.images import display
from worker.images.preprocessing import prepare


@pytest.mark.parametrize("size", [(4000, 3000), (64, 48), (1, 1), (50, 1500), (3000, 20)])
def test_a_picture_keeps_its_shape_and_fills_a_screen(size):
    width, height = display.DISPLAYED.resized(size)
    assert width * height <= 1280 * 960
    assert display.DISPLAYED.makes(width, height)
    if min(size) > 1:
        assert width / height == pytest.approx(
            min(size[0], 32 * size[1]) / min(size[1], 32 * size[0]), rel=0.05
        )


def test_what_differs_in_fine_detail_looks_the_same_under_the_veil():
    stripes = np.indices((960, 1280)).sum(axis=0) % 2 * 255
    fine = np.stack([stripes.astype(np.uint8)] * 3, axis=-1)
    even = np.full_like(fine, 127)
    first, second = (
        np.asarray(Image.open(BytesIO(display.veiled(p))).convert("L"), int) for p in (fine, even)
    )
    assert np.abs(first - second).max() <= 3


def test_clear_is_the_picture():
    pixels = prepare(Image.new("RGB", (40, 30), (200, 30, 40)), display.DISPLAYED)
    shown = Image.open(BytesIO(display.clear(pixels)))
    assert shown.format == "WEBP"
    assert shown.size == (pixels.shape[1], pixels.shape[0])
    assert np.abs(np.asarray(shown.convert("RGB"), int)[5, 5] - (200, 30, 40)).max() < 8
