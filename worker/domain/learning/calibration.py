"""Calibration: turns a label's logit into the probability that people will agree."""

from typing import Final

import numpy as np
from scipy.optimize import minimize

from worker.domain.learning.evidence import Truth, Weights
from worker.domain.moderation.additions import sigmoid
from worker.domain.moderation.scoring import Logits

#: Standard deviations of the priors of ln(slope) and of the intercept: the model's own scale is a good guess.
_SLOPE_SPREAD: Final = 0.5
_INTERCEPT_SPREAD: Final = 4.0
_BOUNDS: Final = ((-3.0, 3.0), (-15.0, 15.0))
_LEAST_PROBABILITY: Final = 1e-12


def calibrate(logits: Logits, truth: Truth, weights: Weights) -> tuple[float, float]:
    """Return slope and intercept, so that `sigmoid(slope * logit + intercept)` is a probability.

    Platt 1999, "Probabilistic Outputs for Support Vector Machines", with weights and without its smoothed
    targets: the maximum a posteriori for `ln(slope) ~ N(0, 0.5^2)`, `intercept ~ N(0, 4^2)`. The priors stand
    in for smoothing, and keep few verdicts from moving the scores far. The slope is positive, so the order of
    pictures stays.
    """
    target = truth.astype(np.float64)

    def loss(parameters: Logits) -> tuple[float, Logits]:
        slope = np.exp(parameters[0])
        p = np.clip(sigmoid(slope * logits + parameters[1]), _LEAST_PROBABILITY, 1 - _LEAST_PROBABILITY)
        value = -(weights * (target * np.log(p) + (1 - target) * np.log1p(-p))).sum()
        error = weights * (p - target)
        gradient = np.array([(error * logits).sum() * slope, error.sum()])
        spreads = np.array([_SLOPE_SPREAD, _INTERCEPT_SPREAD])
        return float(value + 0.5 * ((parameters / spreads) ** 2).sum()), gradient + parameters / spreads**2

    found = minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B", bounds=_BOUNDS)
    return float(np.exp(found.x[0])), float(found.x[1])


def log_losses(logits: Logits, truth: Truth) -> Logits:
    """Return the log loss of each picture: minus the logarithm of the probability of the true answer."""
    signed = np.where(truth, logits, -logits)
    losses: Logits = np.logaddexp(0.0, -signed)
    return losses
