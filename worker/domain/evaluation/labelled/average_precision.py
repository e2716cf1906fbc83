"""Average precision: how well a score ranks true pictures before harmless ones, whatever the threshold."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import norm

from worker.domain.evaluation.curves import Flags, Floats
from worker.domain.evaluation.intervals import CONFIDENCE, UNKNOWN, Interval, clopper_pearson

RESAMPLES: Final = 500
#: Figures nearer to 0 or 1 have no usable log-odds.
_NEAREST: Final = 0.001


def average_precision(scores: Floats, truth: Flags) -> Interval:
    """Return the average precision with an interval; both parameters have shape (pictures,).

    The interval is normal in the log-odds (Boyd, Eng and Page 2013, "Area under the Precision-Recall Curve:
    Point Estimates and Confidence Intervals"), with the standard error of a bootstrap that draws true and
    harmless pictures separately, with a fixed seed. It held the true figure in 93 to 97 % of simulated sets
    of 10 to 100 true pictures. If all are ranked first, the bootstrap sees no error, so the lower bound is
    at most that of a share of k in k true pictures. UNKNOWN without true or without harmless pictures.
    """
    true, harmless = int(truth.sum()), int((~truth).sum())
    if not true or not harmless:
        return UNKNOWN
    ranking = _Ranking(scores, truth)
    found = ranking.average_precision()
    if min(true, harmless) == 1:
        return Interval(found, 0.0, 1.0)
    random = np.random.default_rng(0)
    error = _log_odds([ranking.resampled(random) for _ in range(RESAMPLES)]).std()
    reach = norm.ppf((1 + CONFIDENCE) / 2) * error
    low, high = expit(_log_odds([found]) - reach).item(), expit(_log_odds([found]) + reach).item()
    return Interval(found, min(low, found, clopper_pearson(true, true).low), max(high, found))


class _Ranking:
    """True and harmless pictures by the place of their score among the distinct scores.

    scikit-learn's function computes the same (a test compares them), but takes seconds for the resamples of
    one label.
    """

    def __init__(self, scores: Floats, truth: Flags) -> None:
        levels, places = np.unique(scores, return_inverse=True)
        self._true, self._harmless, self._levels = places[truth], places[~truth], len(levels)

    def average_precision(self) -> float:
        """Return the mean of the precisions at all thresholds, each weighted by the recall that it adds."""
        return self._of(self._true, self._harmless)

    def resampled(self, random: np.random.Generator) -> float:
        """Return the figure of a resample of the same size."""
        true = random.choice(self._true, len(self._true))
        return self._of(true, random.choice(self._harmless, len(self._harmless)))

    def _of(self, true: NDArray[np.intp], harmless: NDArray[np.intp]) -> float:
        # From the highest score down.
        hits = np.bincount(true, minlength=self._levels)[::-1]
        flagged = np.cumsum(hits + np.bincount(harmless, minlength=self._levels)[::-1])
        precision = np.cumsum(hits) / np.maximum(flagged, 1)
        return float(hits @ precision / len(true))


def _log_odds(figures: list[float]) -> Floats:
    found: Floats = logit(np.clip(figures, _NEAREST, 1 - _NEAREST))
    return found
