"""Pictures look the same if every view does."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.moderation.likeness import nearly_same


def unit(*rows):
    matrix = np.array(rows, np.float32)
    return matrix / np.linalg.norm(matrix, axis=1, keepdims=True)


def test_the_least_similar_view_decides():
    picture = unit([1, 0], [0, 1])
    others = np.stack([unit([1, 0], [1, 0]), picture, unit([0, 1], [1, 0])])
    assert set(nearly_same(picture, others, 0.9)) == {1}
    assert set(nearly_same(picture, others, 1e-9)) == {1}
    assert nearly_same(picture, others, 0.0) == {0: 0.0, 1: 1.0, 2: 0.0}


@given(st.integers(0, 2**32 - 1))
def test_a_picture_is_its_own_likeness_however_it_was_rounded(seed):
    picture = np.random.default_rng(seed).normal(size=(3, 64)).astype(np.float32)
    picture /= np.linalg.norm(picture, axis=1, keepdims=True)
    stored = picture.astype(np.float16).astype(np.float32)
    assert set(nearly_same(picture, stored[None], 1.0)) == {0}


def test_nothing_is_like_nothing():
    assert nearly_same(unit([1, 0]), np.empty((0, 1, 2), np.float32), 0.5) == {}
