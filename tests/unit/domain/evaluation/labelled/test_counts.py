"""Four counts, and their shares."""

import numpy as np
import pytest

from worker.domain.evaluation.intervals import UNKNOWN
from worker.domain.evaluation.labelled.counts import Counts

FLAGGED = np.array([True, True, True, False, False, False])
TRUTH = np.array([True, True, False, True, False, False])


def test_pictures_are_counted_by_what_they_are_and_whether_they_are_flagged() -> None:
    counts = Counts.of(FLAGGED, TRUTH)
    assert counts == Counts(hits=2, missed=1, false_positives=1, passed=2)
    assert (counts.true, counts.harmless, counts.flagged) == (3, 3, 3)
    shares = [one.share for one in (counts.precision, counts.recall, counts.false_positive_rate)]
    assert shares == pytest.approx([2 / 3, 2 / 3, 1 / 3])
    assert counts.recall.low < 0.1


def test_precision_is_unknown_if_no_picture_could_be_right() -> None:
    counts = Counts.of(FLAGGED, np.zeros(6, bool))
    assert counts.precision == counts.recall == UNKNOWN
    assert counts.false_positive_rate.share == 0.5


def test_precision_is_unknown_if_nothing_is_flagged() -> None:
    assert Counts.of(np.zeros(6, bool), TRUTH).precision == UNKNOWN
