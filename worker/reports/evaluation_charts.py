"""Computes the curves of an evaluation's page; the template draws them as inline SVG."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from worker.domain.evaluation.curves import Floats, ThresholdCurve
from worker.domain.evaluation.labelled.label_figures import LabelFigures, ThresholdFigures
from worker.domain.policies.policy import Action

#: Size of a chart, in SVG units.
WIDTH: Final = 300
HEIGHT: Final = 180
#: Points of a curve: more are not seen.
_MOST_POINTS: Final = 300


@dataclass(frozen=True, slots=True)
class Mark:
    """A threshold on a chart."""

    x: float
    y: float
    action: str
    title: str


@dataclass(frozen=True, slots=True)
class Target:
    """A suggested threshold on the axis."""

    x: float
    name: str


@dataclass(frozen=True, slots=True)
class LabelCharts:
    """The charts of one label; lines as SVG points, empty if there is nothing to draw."""

    precision_recall: str
    #: The height of the precision if everything was flagged.
    prevalence: float
    #: The thresholds in the plane of recall and precision.
    working_points: tuple[Mark, ...]
    #: By threshold.
    recall: str
    precision: str
    false_positives: str
    thresholds: tuple[Mark, ...]
    targets: tuple[Target, ...]


def label_charts(figures: LabelFigures) -> LabelCharts:
    """Return the charts of one label."""
    grid = figures.grid
    counts = figures.review.counts
    marked = [(Action.REVIEW, figures.review), (Action.BLOCK, figures.block)]
    found = [(action, one) for action, one in marked if one is not None]
    return LabelCharts(
        precision_recall=_steps(figures.curve) if counts.true else "",
        prevalence=_y(counts.true / max(1, counts.true + counts.harmless)),
        working_points=tuple(
            point for action, one in found if (point := _working_point(action, one)) is not None
        ),
        recall=_line(grid.thresholds, grid.recall),
        precision=_line(grid.thresholds, grid.precision) if counts.true else "",
        false_positives=_line(grid.thresholds, grid.false_positive_rate),
        thresholds=tuple(
            Mark(_x(one.threshold), 0, action.value, f"{action.value} at {one.threshold:g}")
            for action, one in found
        ),
        targets=tuple(
            Target(_x(one.threshold), f"{target:.0%}")
            for target, one in figures.suggested.items()
            if one is not None
        ),
    )


def _working_point(action: Action, one: ThresholdFigures) -> Mark | None:
    recall, precision = one.counts.recall.share, one.counts.precision.share
    if recall is None or precision is None:
        return None
    return Mark(_x(recall), _y(precision), action.value, f"{action.value} at {one.threshold:g}")


def _steps(curve: ThresholdCurve) -> str:
    """Return the precision-recall curve as steps: between two recalls, the precision of the higher one.

    A straight line between two points would promise what no threshold gives (Davis and Goadrich 2006, "The
    Relationship Between Precision-Recall and ROC Curves").
    """
    recall, precision = curve.recall[::-1], curve.precision[::-1]
    if len(recall) > _MOST_POINTS:
        kept = np.linspace(0, len(recall) - 1, _MOST_POINTS).astype(np.intp)
        recall, precision = recall[kept], precision[kept]
    corners, before = [], 0.0
    for x, y in zip(recall.tolist(), precision.tolist(), strict=True):
        corners += [(before, y), (x, y)]
        before = x
    return _points(corners)


def _line(xs: Floats, ys: Floats) -> str:
    """Return the points of a line without its unknown ones."""
    known = ~np.isnan(ys)
    return _points(zip(xs[known].tolist(), ys[known].tolist(), strict=True))


def _points(corners: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{_x(x):g},{_y(y):g}" for x, y in corners)


def _x(value: float) -> float:
    return round(WIDTH * value, 2)


def _y(value: float) -> float:
    return round(HEIGHT * (1 - value), 2)
