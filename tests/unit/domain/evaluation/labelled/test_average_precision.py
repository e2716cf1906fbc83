"""Average precision, and how sure one can be of it."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from worker.domain.evaluation.intervals import UNKNOWN
from worker.domain.evaluation.labelled.average_precision import average_precision


def separated(true: int, harmless: int, by: float) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(4)
    truth = np.repeat([True, False], [true, harmless])
    return random.standard_normal(true + harmless) + by * truth, truth


def test_it_is_that_of_a_ranking_computed_by_hand() -> None:
    # The true pictures are the first and the third of the ranking: (1/1 + 2/3) / 2.
    found = average_precision(np.array([0.9, 0.8, 0.7, 0.1]), np.array([True, False, True, False]))
    assert found.share == pytest.approx(5 / 6)


@pytest.mark.parametrize("decimals", [1, 8])
def test_it_is_that_of_scikit_learn_with_ties_too(decimals: int) -> None:
    scores, truth = separated(40, 160, 1.0)
    scores = scores.round(decimals)
    assert average_precision(scores, truth).share == pytest.approx(average_precision_score(truth, scores))


def test_more_pictures_make_a_narrower_interval() -> None:
    few, many = average_precision(*separated(20, 60, 1.5)), average_precision(*separated(200, 600, 1.5))
    for found in (few, many):
        assert found.share is not None
        assert found.low < found.share < found.high
    assert many.high - many.low < (few.high - few.low) / 2


def test_the_interval_is_the_same_each_time() -> None:
    assert average_precision(*separated(20, 60, 1.5)) == average_precision(*separated(20, 60, 1.5))


def test_a_perfect_ranking_of_few_pictures_is_no_certainty() -> None:
    found = average_precision(np.array([0.9, 0.8, 0.7, 0.1, 0.2]), np.array([True, True, True, False, False]))
    assert (found.share, found.high) == (1.0, 1.0)
    # Three of three is consistent with a share of 0.29.
    assert found.low == pytest.approx(0.292, abs=1e-3)


def test_a_single_picture_says_nothing_about_others() -> None:
    found = average_precision(np.array([0.9, 0.1, 0.2]), np.array([True, False, False]))
    assert (found.share, found.low, found.high) == (1.0, 0.0, 1.0)


@pytest.mark.parametrize("truth", [[True, True], [False, False]])
def test_there_is_no_ranking_of_one_kind(truth: list[bool]) -> None:
    assert average_precision(np.array([0.9, 0.1]), np.array(truth)) == UNKNOWN
