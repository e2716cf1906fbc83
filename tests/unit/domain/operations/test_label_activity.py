"""Decisions are counted by label and bin, and quantiles are read from the bins."""

import math

import numpy as np
import pytest

from worker.domain.moderation.decision import Decision, decide_poison
from worker.domain.moderation.scoring import LabelScore
from worker.domain.operations.label_activity import BINS, EDGES, Activity, Hour, Series, quantile
from worker.domain.policies.policy import Action


def scored(**scores):
    return tuple(LabelScore(label, score, "p", 0.3, "b", 0.2) for label, score in scores.items())


def series_of(*activities):
    """Return the series of an hour each, and its flags and histograms by label."""
    series = Series.of([Hour(None, "default", "a" * 64, activity) for activity in activities])
    flags, scores = (
        dict(zip(series.labels, some.tolist(), strict=True)) for some in (series.flags, series.scores)
    )
    return series, flags, scores


def bins(activity, label):
    return activity.counts[activity.rows[label], 1:].tolist()


def flagged(activity, label):
    return activity.counts[activity.rows[label], 0]


def test_every_score_from_0_to_1_has_a_bin_and_an_edge_belongs_to_the_bin_above():
    activity = Activity()
    for score in (0.0, EDGES[0], 0.5, EDGES[-1], 1.0):
        activity.count(Decision(Action.ALLOW, "", scored(weapons=score)))
    found = {place: count for place, count in enumerate(bins(activity, "weapons")) if count}
    assert found == {0: 1, 1: 1, BINS // 2: 1, BINS - 1: 2}
    assert activity.uploads == 5


def test_flags_are_counted_and_pictures_that_were_not_judged_are_not():
    activity = Activity()
    activity.count(Decision(Action.REVIEW, "", scored(weapons=0.9, wine=0.1), ("weapons",), severity=3))
    activity.count(Decision(Action.ALLOW, "", scored(weapons=0.1, wine=0.1)))
    activity.count(decide_poison(3))
    _, flags, _ = series_of(activity)
    assert flags == {"weapons": [[1, 1]], "wine": [[0, 2]]}


def test_counts_of_two_processes_add_up_and_leave_the_other_as_it_was():
    one, other = Activity(), Activity()
    one.count(Decision(Action.ALLOW, "", scored(weapons=0.9)))
    other.count(Decision(Action.REVIEW, "", scored(weapons=0.9, wine=0.9), ("wine",)))
    one.add(other)
    assert one.uploads == 2
    assert (sum(bins(one, "weapons")), flagged(one, "wine")) == (2, 1)
    one.count(Decision(Action.REVIEW, "", scored(wine=0.9), ("wine",)))
    assert (other.uploads, flagged(other, "wine"), sum(bins(other, "wine"))) == (1, 1, 1)


def test_a_score_that_was_not_kept_is_low_and_an_unseen_label_is_not_flagged():
    one = Activity.of(10, ["weapons"], [[2] + [0] * (BINS - 1) + [3]])
    series, flags, scores = series_of(one, Activity.of(4, ["wine"], [[1, 4] + [0] * (BINS - 1)]))
    assert scores["weapons"] == [[7] + [0] * (BINS - 2) + [3], [4] + [0] * (BINS - 1)]
    assert flags == {"weapons": [[2, 8], [0, 4]], "wine": [[0, 10], [1, 3]]}
    assert series.scores.shape == (2, 2, BINS)
    assert one.counts.sum() == 5


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9, 0.99])
def test_a_quantile_is_exact_to_a_bin(share):
    logits = np.random.default_rng(0).normal(-2, 3, 10_000)
    activity = Activity()
    for logit in logits:
        activity.count(Decision(Action.ALLOW, "", scored(weapons=1 / (1 + math.exp(-logit)))))
    found = quantile(np.array(bins(activity, "weapons")), share)
    assert math.log(found / (1 - found)) == pytest.approx(np.quantile(logits, share), abs=0.3)


def test_quantiles_of_one_full_bin_are_within_it():
    only = np.eye(BINS, dtype=np.int64)
    assert 0 < quantile(only[0], 0.5) < EDGES[0]
    assert EDGES[-1] < quantile(only[-1], 0.99) < 1
