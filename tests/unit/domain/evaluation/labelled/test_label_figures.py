"""The figures of one label at its thresholds and at better ones."""

from dataclasses import replace

import numpy as np
import pytest
from support.labelled import DRUGS, WEAPONS

from worker.domain.evaluation.labelled.counts import Counts
from worker.domain.evaluation.labelled.label_figures import LabelFigures

#: 5 true pictures, then 100 harmless ones with the scores 0, 0.01 ... 0.99.
SCORES = np.append([0.2, 0.55, 0.93, 0.955, 0.999], np.arange(100) / 100)
TRUTH = np.repeat([True, False], [5, 100])


def test_the_policy_s_thresholds_are_measured() -> None:
    figures = LabelFigures.of(WEAPONS, SCORES, TRUTH)
    assert figures.review.counts == Counts(hits=4, missed=1, false_positives=50, passed=50)
    assert figures.block is not None
    assert figures.block.counts == Counts(hits=3, missed=2, false_positives=10, passed=90)
    assert LabelFigures.of(DRUGS, SCORES, TRUTH).block is None


def test_a_picture_at_the_threshold_is_flagged_as_the_policy_flags_it() -> None:
    figures = LabelFigures.of(replace(WEAPONS, review=0.55), SCORES, TRUTH)
    assert figures.review.counts.hits == 4


def test_the_suggested_thresholds_keep_to_their_targets() -> None:
    figures = LabelFigures.of(WEAPONS, SCORES, TRUTH)
    one, five = figures.suggested[0.01], figures.suggested[0.05]
    assert one is not None
    assert five is not None
    assert (one.counts.false_positives, five.counts.false_positives) == (1, 5)
    assert (one.counts.hits, five.counts.hits) == (1, 2)
    assert (one.threshold, five.threshold) == pytest.approx((0.99, 0.95))


def test_without_true_pictures_only_the_false_positives_are_known() -> None:
    figures = LabelFigures.of(WEAPONS, SCORES[5:], TRUTH[5:])
    assert not figures.average_precision.is_known
    assert not figures.review.counts.recall.is_known
    assert figures.suggested[0.05] is not None
    assert figures.review.counts.false_positive_rate.share == 0.5


def test_without_harmless_pictures_no_threshold_is_suggested() -> None:
    assert LabelFigures.of(WEAPONS, SCORES[:5], TRUTH[:5]).suggested == {0.01: None, 0.05: None}
