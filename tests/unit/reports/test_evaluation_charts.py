"""An evaluation's curves show what was measured."""

import numpy as np
import pytest
from support.labelled import DRUGS, WEAPONS

from worker.domain.evaluation.labelled.label_figures import LabelFigures
from worker.reports import evaluation_charts as charts

SCORES = np.array([0.9, 0.8, 0.6, 0.2])
TRUTH = np.array([True, False, True, False])


def corners(points: str) -> list[tuple[float, ...]]:
    return [tuple(map(float, corner.split(","))) for corner in points.split()]


def test_the_precision_recall_curve_has_steps_through_every_threshold() -> None:
    drawn = corners(charts.label_charts(LabelFigures.of(WEAPONS, SCORES, TRUTH)).precision_recall)
    shares = [(x / charts.WIDTH, 1 - y / charts.HEIGHT) for x, y in drawn]
    expected = [(0, 1), (0.5, 1), (0.5, 0.5), (0.5, 0.5), (0.5, 2 / 3), (1, 2 / 3), (1, 0.5), (1, 0.5)]
    assert [pytest.approx(corner, abs=1e-3) for corner in expected] == shares


def test_thresholds_targets_and_working_points_are_marked() -> None:
    chart = charts.label_charts(LabelFigures.of(WEAPONS, SCORES, TRUTH))
    assert [(mark.action, mark.x) for mark in chart.thresholds] == [("review", 150), ("block", 270)]
    assert [mark.title for mark in chart.working_points] == ["review at 0.5", "block at 0.9"]
    # At 0.5 all true pictures are found, with one harmless among three; above 0.8 is the first without.
    assert (chart.working_points[0].x, chart.working_points[0].y) == (charts.WIDTH, charts.HEIGHT / 3)
    assert [target.name for target in chart.targets] == ["1%", "5%"]
    assert {target.x for target in chart.targets} == {270}


def test_the_curves_by_threshold_end_with_the_last_known_figure() -> None:
    chart = charts.label_charts(LabelFigures.of(WEAPONS, SCORES, TRUTH))
    assert corners(chart.recall)[0] == (0, 0)
    assert corners(chart.recall)[-1] == (charts.WIDTH, charts.HEIGHT)
    # Above 0.9 nothing is flagged, so there is no precision.
    assert corners(chart.precision)[-1] == (pytest.approx(270), 0)


def test_without_true_pictures_only_false_positives_are_drawn() -> None:
    chart = charts.label_charts(LabelFigures.of(DRUGS, SCORES, np.zeros(4, bool)))
    assert (chart.precision_recall, chart.precision, chart.recall) == ("", "", "")
    assert chart.false_positives
    assert chart.working_points == ()


def test_a_curve_of_many_pictures_is_thinned() -> None:
    random = np.random.default_rng(1)
    figures = LabelFigures.of(WEAPONS, random.random(5000), random.random(5000) < 0.5)
    drawn = corners(charts.label_charts(figures).precision_recall)
    assert len(drawn) == 600
    assert drawn[-1][0] == charts.WIDTH
