"""What a chart shows is what was counted, however many days there are."""

import numpy as np
import pytest

from worker.domain.evaluation.comparison import BINS, LabelTally, Tally
from worker.domain.policies.policy import Label, Policy
from worker.reports import charts

OLD = Policy("p", ("an animal",), (Label("a", ("x",), review=0.5, block=0.9), Label("gone", ("y",))))
NEW = Policy("p", ("an animal",), (Label("a", ("x",), review=0.4, block=0.9), Label("b", ("z",))))


def tally_of(days):
    tally = Tally.of(OLD, NEW)
    tally.days = {day: np.array(counts) for day, counts in days.items()}
    return tally


def test_a_day_has_a_bar_for_each_policy_and_quiet_days_have_room():
    chart = charts.day_chart(tally_of({10: [5, 2, 1, 4, 3, 1], 13: [1, 0, 0, 1, 0, 0]}))
    assert len(chart.bars) == 2 * 4
    assert (chart.most, chart.days_a_bar) == (4, 1)
    assert (chart.first, chart.last) == ("11 Jan 1970", "14 Jan 1970")
    old, new = chart.bars[:2]
    assert (old.policy, new.policy) == ("old", "new")
    assert new.shape.lower_height + new.shape.upper_height == pytest.approx(charts.DAYS_HEIGHT)
    assert new.shape.upper_y == 0
    assert old.title == "11 Jan 1970, old: 2 to review, 1 blocked at once"


@pytest.mark.parametrize(("days", "size"), [(31, 1), (32, 2), (365, 12)])
def test_many_days_share_bars_and_nothing_is_lost(days, size):
    chart = charts.day_chart(tally_of({day: [0, 1, 0, 0, 2, 0] for day in range(days)}))
    assert chart.days_a_bar == size
    assert len(chart.bars) <= 62
    assert all(bar.shape.x >= 0 and bar.shape.x + bar.shape.width <= charts.DAYS_WIDTH for bar in chart.bars)
    assert sum(bar.shape.lower_height for bar in chart.bars if bar.policy == "new") == pytest.approx(
        2 * days * charts.DAYS_HEIGHT / chart.most, abs=1
    )


def test_days_without_work_for_anybody_have_no_chart():
    assert charts.day_chart(tally_of({3: [9, 0, 0, 9, 0, 0]})) is None
    assert charts.day_chart(tally_of({})) is None


def test_a_threshold_that_moved_has_two_lines_and_one_that_stayed_has_one():
    tally = LabelTally("a", old_scores=np.arange(BINS), new_scores=np.arange(BINS))
    lines = charts.histogram(tally, OLD, NEW).thresholds
    assert [(line.action, line.policy, line.value) for line in lines] == [
        ("review", "old", 0.5),
        ("review", "new", 0.4),
        ("block", "both", 0.9),
    ]


def test_a_label_of_one_policy_has_one_outline():
    new = charts.histogram(LabelTally("b", new_scores=np.ones(BINS, int)), OLD, NEW)
    assert (new.old, [line.policy for line in new.thresholds]) == ("", ["new"])
    assert len(new.new.split()) == 2 * BINS + 2
    gone = charts.histogram(LabelTally("gone", old_scores=np.ones(BINS, int)), OLD, NEW)
    assert (gone.new, [line.policy for line in gone.thresholds]) == ("", ["old"])
