"""Occlusion finds what a score depends on, whatever computes the score."""

import numpy as np
import pytest

from worker.encoder.explaining.occlusion import Occlusion


class Watcher:
    """An encoder whose vector holds the mean red of one cell of eight by eight, and counts its passes."""

    def __init__(self, row, column):
        self._row, self._column = row, column
        self.pictures = []

    def encode_images(self, images):
        self.pictures.append(len(images))
        height, width = images[0].shape[:2]
        rows = slice(self._row * height // 8, (self._row + 1) * height // 8)
        columns = slice(self._column * width // 8, (self._column + 1) * width // 8)
        return np.array([[one[rows, columns, 0].mean(), 1.0] for one in images], np.float32)


def picture(row, column, size=(64, 64)):
    pixels = np.full((*size, 3), 40, np.uint8)
    height, width = size
    pixels[row * height // 8 : (row + 1) * height // 8, column * width // 8 : (column + 1) * width // 8] = 255
    return pixels


@pytest.mark.parametrize(("row", "column"), [(0, 0), (3, 5), (7, 7), (4, 0)])
@pytest.mark.parametrize("size", [(64, 64), (96, 224), (80, 48)])
def test_the_heat_is_highest_where_the_score_comes_from(row, column, size):
    cells = Occlusion(Watcher(row, column)).explain_image(
        picture(row, column, size), np.array([1, 0], np.float32)
    )
    assert cells.shape == (8, 8)
    assert np.unravel_index(cells.argmax(), cells.shape) == (row, column)
    assert cells.min() >= 0


def test_it_takes_fifty_pictures_in_batches():
    watcher = Watcher(2, 2)
    Occlusion(watcher).explain_image(picture(2, 2), np.array([1, 0], np.float32))
    assert sum(watcher.pictures) == 50
    assert max(watcher.pictures) == 16


def test_what_speaks_against_the_label_is_no_heat():
    cells = Occlusion(Watcher(3, 3)).explain_image(picture(3, 3), np.array([-1, 0], np.float32))
    assert not cells.any()
