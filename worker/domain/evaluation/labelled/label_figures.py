"""The figures of one label: what its thresholds do, and which thresholds would do better."""

from dataclasses import dataclass
from typing import Final, Self

from worker.domain.evaluation.curves import GRID, Flags, Floats, ThresholdCurve, lowest_threshold
from worker.domain.evaluation.intervals import Interval
from worker.domain.evaluation.labelled.average_precision import average_precision
from worker.domain.evaluation.labelled.counts import Counts
from worker.domain.policies.policy import Label

#: The shares of harmless pictures that a suggested threshold may flag.
TARGETS: Final = (0.01, 0.05)


@dataclass(frozen=True, slots=True)
class ThresholdFigures:
    """A threshold, and how it sorts the pictures."""

    threshold: float
    counts: Counts

    @classmethod
    def of(cls, threshold: float, scores: Floats, truth: Flags) -> Self:
        """Count the pictures at or above a threshold."""
        return cls(threshold, Counts.of(scores >= threshold, truth))


@dataclass(frozen=True, slots=True)
class LabelFigures:
    """How well a policy finds one label."""

    name: str
    review: ThresholdFigures
    #: None if the label never blocks.
    block: ThresholdFigures | None
    average_precision: Interval
    #: By target: the lowest threshold that keeps to it; None if no threshold does.
    suggested: dict[float, ThresholdFigures | None]
    #: At every distinct score, and at the thresholds of a chart.
    curve: ThresholdCurve
    grid: ThresholdCurve

    @classmethod
    def of(cls, label: Label, scores: Floats, truth: Flags) -> Self:
        """Measure a label; `scores` and `truth` (whether it applies) have shape (pictures,)."""

        def at(threshold: float) -> ThresholdFigures:
            return ThresholdFigures.of(threshold, scores, truth)

        def below(most_false_positives: float) -> ThresholdFigures | None:
            lowest = lowest_threshold(scores, truth, most_false_positives)
            return None if lowest is None else at(lowest.threshold)

        return cls(
            name=label.name,
            review=at(label.review),
            block=None if label.block is None else at(label.block),
            average_precision=average_precision(scores, truth),
            suggested={target: below(target) for target in TARGETS},
            curve=ThresholdCurve.of(scores, truth),
            grid=ThresholdCurve.of(scores, truth, thresholds=GRID),
        )
