"""Threshold curves of scores with known truth."""

import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve, roc_curve

from worker.domain.evaluation.curves import GRID, Suggestion, ThresholdCurve, flagged_weight, lowest_threshold

SCORES = np.array([0.1, 0.4, 0.4, 0.6, 0.8, 0.9])
TRUTH = np.array([False, False, True, False, True, True])


def random_pictures(seed: int, weighted: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    random = np.random.default_rng(seed)
    truth = random.random(200) < 0.3
    # Rounded, so that many scores are equal.
    scores = np.round(np.clip(0.3 + 0.3 * truth + 0.2 * random.standard_normal(200), 0, 1), 2)
    return scores, truth, random.uniform(0.5, 20, 200) if weighted else None


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_curve_is_that_of_scikit_learn(seed: int, weighted: bool) -> None:
    scores, truth, weights = random_pictures(seed, weighted)
    curve = ThresholdCurve.of(scores, truth, weights)
    precision, recall, thresholds = precision_recall_curve(truth, scores, sample_weight=weights)
    assert curve.thresholds == pytest.approx(thresholds)
    assert curve.precision == pytest.approx(precision[:-1])
    assert curve.recall == pytest.approx(recall[:-1])
    rates, _, levels = roc_curve(truth, scores, sample_weight=weights, drop_intermediate=False)
    assert curve.false_positive_rate == pytest.approx(rates[1:][::-1])
    assert curve.thresholds == pytest.approx(levels[1:][::-1])


def test_a_picture_at_the_threshold_is_flagged() -> None:
    curve = ThresholdCurve.of(SCORES, TRUTH, thresholds=np.array([0.4, 0.41]))
    assert curve.flagged == pytest.approx([5 / 6, 3 / 6])
    assert curve.recall == pytest.approx([1, 2 / 3])
    assert curve.precision == pytest.approx([3 / 5, 2 / 3])
    assert curve.false_positive_rate == pytest.approx([2 / 3, 1 / 3])


def test_a_weight_counts_as_that_number_of_pictures() -> None:
    weights = np.array([5.0, 1, 1, 3, 1, 2])
    copies = weights.astype(int)
    weighted = ThresholdCurve.of(SCORES, TRUTH, weights, GRID)
    repeated = ThresholdCurve.of(np.repeat(SCORES, copies), np.repeat(TRUTH, copies), thresholds=GRID)
    for name in ("precision", "recall", "false_positive_rate", "flagged"):
        assert getattr(weighted, name) == pytest.approx(getattr(repeated, name), nan_ok=True)


def test_the_share_of_nothing_is_unknown() -> None:
    above_all = ThresholdCurve.of(SCORES, TRUTH, thresholds=np.array([0.95]))
    assert np.isnan(above_all.precision[0])
    assert (above_all.recall[0], above_all.flagged[0]) == (0, 0)
    assert np.isnan(ThresholdCurve.of(SCORES, np.zeros(6, bool)).recall).all()
    assert np.isnan(ThresholdCurve.of(SCORES, np.ones(6, bool)).false_positive_rate).all()
    empty = ThresholdCurve.of(np.empty(0), np.empty(0, bool), thresholds=GRID)
    assert np.isnan(empty.flagged).all()


def test_no_score_is_lost_between_the_thresholds_of_a_chart() -> None:
    assert flagged_weight(np.array([0.0, 0.07, 0.29, 1.0]), GRID)[[0, 7, 29, 30, 100]].tolist() == [
        4, 3, 2, 1, 1,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("most", "threshold", "recall", "rate"),
    [(1.0, 0.1, 1.0, 1.0), (0.7, 0.2, 1.0, 2 / 3), (0.4, 0.5, 2 / 3, 1 / 3), (0.0, 0.7, 2 / 3, 0.0)],
)
def test_the_lowest_threshold_is_a_plain_number(most, threshold, recall, rate) -> None:
    found = lowest_threshold(SCORES, TRUTH, most)
    assert found is not None
    assert (found.threshold, found.recall, found.false_positive_rate) == pytest.approx(
        (threshold, recall, rate)
    )


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("most", [0.01, 0.05, 0.2])
def test_the_threshold_that_is_written_does_what_it_promises(seed: int, weighted: bool, most: float) -> None:
    scores, truth, weights = random_pictures(seed, weighted)
    found = lowest_threshold(scores, truth, most, weights)
    assert found is not None
    next_lower = scores[scores < found.threshold].max()
    at = ThresholdCurve.of(scores, truth, weights, np.array([next_lower, found.threshold]))
    assert at.false_positive_rate[1] == pytest.approx(found.false_positive_rate)
    assert at.false_positive_rate[1] <= most < at.false_positive_rate[0]
    assert at.recall[1] == pytest.approx(found.recall)


def test_scores_that_hardly_differ_have_a_threshold_between_them() -> None:
    scores, truth = np.array([0.5, 0.99999999, 0.999999995]), np.array([False, False, True])
    assert lowest_threshold(scores, truth, 0.0) == Suggestion(0.999999995, 1.0, 0.0)


def test_no_threshold_helps_if_a_harmless_picture_scores_1() -> None:
    assert lowest_threshold(np.array([1.0, 1.0]), np.array([True, False]), 0.5) is None
    assert lowest_threshold(np.array([0.3]), np.array([True]), 0.5) is None


def test_above_the_highest_score_is_a_threshold_too() -> None:
    scores, truth = np.array([0.4, 0.61]), np.array([True, False])
    assert lowest_threshold(scores, truth, 0.0) == Suggestion(0.7, 0.0, 0.0)
    assert lowest_threshold(np.array([0.4]), np.array([False]), 0.0) == Suggestion(0.5, None, 0.0)


@pytest.mark.parametrize(
    ("scores", "truth", "weights", "complaint"),
    [
        ([0.1, 0.2], [True], None, "scores"),
        ([0.1, np.nan], [True, False], None, "not finite"),
        ([0.1, 0.2], [True, False], [1.0, 0.0], "positive"),
    ],
)
def test_what_cannot_be_counted_is_refused(scores, truth, weights, complaint) -> None:
    given = None if weights is None else np.array(weights)
    with pytest.raises(ValueError, match=complaint):
        ThresholdCurve.of(np.array(scores), np.array(truth), given)
