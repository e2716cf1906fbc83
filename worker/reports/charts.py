"""Computes the bars and lines of a report's charts; the templates draw them as inline SVG."""

from dataclasses import dataclass
from datetime import date
from math import ceil, log1p
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.domain.evaluation.comparison import BINS, LabelTally, Tally, days_of
from worker.domain.policies.policy import Action, Label, Policy
from worker.svg import StackedBar

#: Size of a histogram, in SVG units.
WIDTH: Final = 300
HEIGHT: Final = 90
#: Size of the chart by day.
DAYS_WIDTH: Final = 600
DAYS_HEIGHT: Final = 130
_MOST_BARS: Final = 31
_GAP: Final = 0.25


@dataclass(frozen=True, slots=True)
class Threshold:
    """A line across a histogram."""

    x: float
    action: str
    #: `old`, `new`, or `both` if they are equal.
    policy: str
    value: float


@dataclass(frozen=True, slots=True)
class Histogram:
    """The scores of one label under both policies, on a logarithmic scale; outlines as SVG points."""

    old: str
    new: str
    thresholds: tuple[Threshold, ...]


@dataclass(frozen=True, slots=True)
class LoadBar:
    """One policy's load in one or more days: reviews below, automatic blocks on top."""

    policy: str
    shape: StackedBar
    title: str


@dataclass(frozen=True, slots=True)
class DayChart:
    """The load by day, the old policy beside the new."""

    bars: tuple[LoadBar, ...]
    #: The largest load of a bar, the days per bar, and the labels at both ends of the axis.
    most: int
    days_a_bar: int
    first: str
    last: str


def histogram(label: LabelTally, old: Policy, new: Policy) -> Histogram:
    """Return the chart of one label."""
    most = max((int(h.max()) for h in (label.old_scores, label.new_scores) if h is not None), default=0)
    return Histogram(
        _outline(label.old_scores, most), _outline(label.new_scores, most), _thresholds(label.name, old, new)
    )


def day_chart(tally: Tally) -> DayChart | None:
    """Return the chart by day; None if there would have been no reviews or blocks."""
    days = list(days_of(tally))
    size = max(1, ceil(len(days) / _MOST_BARS))
    parts = [days[start : start + size] for start in range(0, len(days), size)]
    sums = [np.sum([counts for _, counts in part], axis=0) for part in parts]
    most = max((int(max(counts[1] + counts[2], counts[4] + counts[5])) for counts in sums), default=0)
    if not most:
        return None
    bars = []
    for n, (part, counts) in enumerate(zip(parts, sums, strict=True)):
        name = _name(part[0][0], part[-1][0])
        for side, policy in enumerate(("old", "new")):
            _, reviews, blocks = counts[3 * side : 3 * side + 3].tolist()
            bars.append(_bar(policy, n, side, len(parts), reviews, blocks, most, name))
    return DayChart(tuple(bars), most, size, _name(days[0][0]), _name(days[-1][0]))


def _bar(  # noqa: PLR0913, PLR0917 - a bar is what all of these make it
    policy: str, place: int, side: int, places: int, reviews: int, blocks: int, most: int, name: str
) -> LoadBar:
    # The bars of a few days need not fill the width.
    slot = min(DAYS_WIDTH / places, 60)
    width = slot * (1 - _GAP) / 2
    x = place * slot + slot * _GAP / 2 + side * width
    return LoadBar(
        policy,
        StackedBar.of(reviews, blocks, most=most, height=DAYS_HEIGHT, x=x, width=width * 0.92),
        title=f"{name}, {policy}: {reviews:,} to review, {blocks:,} blocked at once",
    )


def _name(first: date, last: date | None = None) -> str:
    name = f"{first:%d %b %Y}"
    return name if last in {None, first} else f"{name} to {last:%d %b %Y}"


def _outline(counts: NDArray[np.int64] | None, most: int) -> str:
    """Return the points of the histogram's steps, from the axis and back to it."""
    if counts is None or not most:
        return ""
    step = WIDTH / BINS
    heights = [HEIGHT * (1 - log1p(count) / log1p(most)) for count in counts.tolist()]
    corners = [(0.0, float(HEIGHT))]
    for n, y in enumerate(heights):
        corners += [(n * step, y), ((n + 1) * step, y)]
    corners.append((float(WIDTH), float(HEIGHT)))
    return " ".join(f"{x:.4g},{y:.4g}" for x, y in corners)


def _thresholds(name: str, old: Policy, new: Policy) -> tuple[Threshold, ...]:
    before, after = _values(old, name), _values(new, name)
    lines = []
    for action in (Action.REVIEW, Action.BLOCK):
        values = {"old": before.get(action), "new": after.get(action)}
        if values["old"] == values["new"]:
            values = {"both": values["new"]}
        lines += [
            Threshold(round(WIDTH * value, 2), action.value, policy, value)
            for policy, value in values.items()
            if value is not None
        ]
    return tuple(lines)


def _values(policy: Policy, name: str) -> dict[Action, float]:
    found: Label | None = next((label for label in policy.labels if label.name == name), None)
    if found is None:
        return {}
    block = {} if found.block is None else {Action.BLOCK: found.block}
    return {Action.REVIEW: found.review, **block}
