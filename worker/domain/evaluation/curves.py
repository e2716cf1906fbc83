"""Threshold curves: what each threshold would do to precision, recall, false positives and the queue.

With numpy alone, since the review desk draws curves too and scikit-learn would double its memory.
"""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

#: The thresholds of a chart: 0, 0.01 ... 1.
GRID: Final[Floats] = np.arange(101) / 100
#: A threshold between two scores is written with this number of decimals at most.
_MOST_DECIMALS: Final = 6


@dataclass(frozen=True, slots=True, eq=False)
class ThresholdCurve:
    """What each threshold would do; every array has shape (thresholds,).

    A picture is flagged if its score is at or above the threshold. A share of nothing is NaN: precision if
    nothing is flagged, recall without true pictures, the false-positive rate without harmless ones.
    """

    #: Ascending.
    thresholds: Floats
    #: The share of flagged pictures that are true.
    precision: Floats
    #: The share of true pictures that are flagged.
    recall: Floats
    #: The share of harmless pictures that are flagged.
    false_positive_rate: Floats
    #: The share of all pictures that are flagged: times the uploads a day, the load of the queue.
    flagged: Floats

    @classmethod
    def of(
        cls,
        scores: Floats,
        truth: Flags,
        weights: Floats | None = None,
        thresholds: Floats | None = None,
    ) -> Self:
        """Return the curve of one label.

        `scores` and `truth` (whether the label applies) have shape (pictures,), and so have `weights`: of a
        sample, 1 / the probability that the picture was drawn (Horvitz and Thompson 1952, "A Generalization
        of Sampling Without Replacement from a Finite Universe"); by default all are 1. `thresholds` must
        ascend; by default they are the distinct scores. ValueError if shapes differ, a score is not finite,
        or a weight is not a positive number.
        """
        weights = _checked(scores, truth, weights)
        levels = np.unique(scores) if thresholds is None else thresholds
        true = flagged_weight(scores[truth], levels, weights[truth])
        harmless = flagged_weight(scores[~truth], levels, weights[~truth])
        return cls(
            thresholds=levels,
            precision=_share(true, true + harmless),
            recall=_share(true, weights[truth].sum()),
            false_positive_rate=_share(harmless, weights[~truth].sum()),
            flagged=_share(true + harmless, weights.sum()),
        )


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A threshold, and what it would do on the pictures that it was chosen on."""

    threshold: float
    #: None without true pictures.
    recall: float | None
    false_positive_rate: float


def flagged_weight(scores: Floats, thresholds: Floats, weights: Floats | None = None) -> Floats:
    """Return the number of scores at or above each threshold, or the sum of their weights."""
    order = np.argsort(scores)
    ascending = np.ones(len(scores)) if weights is None else weights[order]
    # From above, so that nothing flagged is exactly 0.
    at_or_above = np.append(np.cumsum(ascending[::-1])[::-1], 0.0)
    found: Floats = at_or_above[np.searchsorted(scores[order], thresholds, side="left")]
    return found


def lowest_threshold(
    scores: Floats, truth: Flags, most_false_positives: float, weights: Floats | None = None
) -> Suggestion | None:
    """Return the lowest threshold that flags at most this share, 0 to 1, of the harmless pictures.

    Of all numbers that flag the same pictures it is one with few decimals. Parameters as of
    `ThresholdCurve.of`. None without harmless pictures, or if even a threshold of 1 flags too many.
    """
    weights = _checked(scores, truth, weights)
    if truth.all():
        return None
    curve = ThresholdCurve.of(scores, truth, weights, np.unique(np.append(scores, 1.0)))
    few = np.flatnonzero(curve.false_positive_rate <= most_false_positives)
    if not len(few):
        return None
    place = int(few[0])
    below = float(curve.thresholds[place - 1]) if place else 0.0
    recall = float(curve.recall[place])
    return Suggestion(
        threshold=_plain_number(below, float(curve.thresholds[place])),
        recall=None if np.isnan(recall) else recall,
        false_positive_rate=float(curve.false_positive_rate[place]),
    )


def _plain_number(above: float, up_to: float) -> float:
    """Return the number with the fewest decimals that is above the one and at most the other."""
    for decimals in range(1, _MOST_DECIMALS + 1):
        number = round((np.floor(above * 10**decimals) + 1) / 10**decimals, decimals)
        if above < number <= up_to:
            return float(number)
    return up_to


def _checked(scores: Floats, truth: Flags, weights: Floats | None) -> Floats:
    weights = np.ones(len(scores)) if weights is None else weights
    if not scores.shape == truth.shape == weights.shape:
        raise ValueError(f"{scores.shape} scores, {truth.shape} truths and {weights.shape} weights")
    if not np.isfinite(scores).all():
        raise ValueError("a score is not finite")
    if not ((weights > 0) & np.isfinite(weights)).all():
        raise ValueError("a weight is not a positive number")
    return weights


def _share(part: Floats, whole: Floats | float) -> Floats:
    """Return part / whole, and NaN if the whole is 0."""
    wholes = np.broadcast_to(whole, part.shape)
    shares: Floats = np.divide(part, wholes, out=np.full(part.shape, np.nan), where=wholes > 0)
    return shares
