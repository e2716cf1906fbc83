"""Confidence intervals of counted shares."""

import pytest

from worker.domain.evaluation.intervals import UNKNOWN, clopper_pearson, lower_bound, upper_bound


def test_the_interval_of_a_share_is_that_of_the_tables() -> None:
    # Published for 4 of 50 at 95 %: .0222 to .1923.
    found = clopper_pearson(4, 50)
    assert (found.share, found.low, found.high) == pytest.approx((0.08, 0.0222, 0.1923), abs=1e-4)


def test_without_a_trial_nothing_is_known() -> None:
    assert clopper_pearson(0, 0) == UNKNOWN
    assert not UNKNOWN.is_known


@pytest.mark.parametrize(("hits", "trials"), [(0, 30), (30, 30)])
def test_a_share_of_none_or_of_all_is_no_certainty(hits: int, trials: int) -> None:
    found = clopper_pearson(hits, trials)
    assert 0.1 < found.high - found.low < 0.2


@pytest.mark.parametrize(("target", "needed"), [(0.90, 22), (0.95, 45), (0.98, 114), (0.99, 230)])
def test_this_many_right_answers_in_a_row_show_a_target(target: float, needed: int) -> None:
    assert lower_bound(needed, needed, 0.9) >= target > lower_bound(needed - 1, needed - 1, 0.9)


def test_the_upper_bound_mirrors_the_lower_one() -> None:
    assert upper_bound(3, 40, 0.9) == pytest.approx(1 - lower_bound(37, 40, 0.9))


@pytest.mark.parametrize(("hits", "trials"), [(-1, 4), (5, 4)])
def test_an_impossible_share_is_refused(hits: int, trials: int) -> None:
    with pytest.raises(ValueError, match="is not a share"):
        clopper_pearson(hits, trials)
