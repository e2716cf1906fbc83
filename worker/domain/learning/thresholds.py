"""Thresholds: scores that follow from targets, with the confidence that verdicts allow."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from worker.domain.evaluation.intervals import lower_bound
from worker.domain.learning.evidence import Truth, Weights
from worker.domain.moderation.scoring import Logits

#: The confidence with which a target is reached: without it, every second threshold would miss.
CONFIDENCE: Final = 0.9
#: 100 * 0.29 is 28.999999999999996.
_ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Threshold:
    """A score that reaches a target, or what is missing for one."""

    target: float
    #: 0 to 1; None if the verdicts do not show that any score reaches the target.
    score: float | None
    #: Verdicts that count for the score; the target is reached by all of those above it.
    verdicts: int
    #: How many verdicts without an error would show the target.
    needed: int

    def __str__(self) -> str:
        """Say for people what was found or what is missing."""
        if self.score is not None:
            return f"{self.target:.1%} from {self.score:.3f} on ({self.verdicts} verdicts)"
        return f"{self.target:.1%} is not shown yet: {self.verdicts} of at least {self.needed} verdicts"


def needed_verdicts(target: float) -> int:
    """Return how many verdicts without an error show a share: ln(1 - confidence) / ln(target)."""
    return math.ceil(math.log(1 - CONFIDENCE) / math.log(target))


def precision_threshold(scores: Logits, truth: Truth, target: float) -> Threshold:
    """Return the lowest score above which at least `target` of the pictures are right.

    `scores` and `truth` are those of pictures that people saw because of their score, so each counts once.
    With the confidence of a Clopper-Pearson bound: a point estimate misses its target half the time.
    """
    order = np.argsort(-scores, kind="stable")
    ordered, right = scores[order], np.cumsum(truth[order])
    # Pictures with the same score are above a threshold together.
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True)).tolist() if len(ordered) else []
    reached = [end for end in ends if lower_bound(int(right[end]), end + 1, CONFIDENCE) >= target]
    score = float(ordered[reached[-1]]) if reached else None
    return Threshold(target, score, len(scores), needed_verdicts(target))


def recall_threshold(scores: Logits, truth: Truth, weights: Weights, target: float) -> Threshold:
    """Return the highest score at or above which at least `target` of the label's pictures lie.

    Weighted by 1 / probability of having been shown. The bound uses the effective number of pictures
    (Kish 1965, "Survey Sampling"): few audited pictures that count for many show little.
    """
    own, weight = scores[truth], weights[truth]
    effective = int(weight.sum() ** 2 / (weight**2).sum()) if len(own) else 0
    needed = needed_verdicts(target)
    order = np.argsort(-own, kind="stable")
    shares = np.cumsum(weight[order]) / weight.sum() if len(own) else np.empty(0)
    for score, share in zip(own[order].tolist(), shares.tolist(), strict=True):
        if lower_bound(math.floor(share * effective + _ROUNDING), effective, CONFIDENCE) >= target:
            return Threshold(target, float(score), len(own), needed)
    return Threshold(target, None, len(own), needed)
