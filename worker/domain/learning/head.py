"""Head: a logistic regression on the embedding that corrects a label's own logit."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.optimize import minimize

from worker.domain.learning.evidence import Truth
from worker.domain.moderation.additions import sigmoid
from worker.domain.moderation.scoring import Logits, Matrix, Vector

#: Below this number of verdicts, or this many of either answer, a head learns chance.
LEAST_VERDICTS: Final = 50
LEAST_OF_A_KIND: Final = 5
#: Strength of the ridge on the weights, and on the intercept, which is nearly free.
_RIDGE: Final = 0.1
_INTERCEPT_RIDGE: Final = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """Weights on the standardised embedding, shape (dimension,), and an intercept."""

    weights: Vector
    intercept: float

    def __call__(self, standardised: Matrix) -> Logits:
        """Return what it adds to the logit of each picture."""
        added: Logits = (standardised @ self.weights).astype(np.float64) + self.intercept
        return added


def fit_head(offset: Logits, standardised: Matrix, truth: Truth) -> Head:
    """Fit `truth ~ sigmoid(offset + standardised . weights + intercept)` with a ridge.

    Unweighted: it ranks pictures; weights would let the few audited ones decide. scikit-learn's logistic
    regression knows no offset, so SciPy minimises the loss, which is convex.
    """
    target, inputs = truth.astype(np.float64), standardised.astype(np.float64)
    ridge = np.append(np.full(inputs.shape[1], _RIDGE), _INTERCEPT_RIDGE)

    def loss(parameters: Logits) -> tuple[float, Logits]:
        logits = offset + inputs @ parameters[:-1] + parameters[-1]
        value = np.logaddexp(0.0, np.where(truth, -logits, logits)).sum()
        error = sigmoid(logits) - target
        gradient = np.append(error @ inputs, error.sum()) + ridge * parameters
        return float(value + 0.5 * (ridge * parameters**2).sum()), gradient

    found = minimize(loss, np.zeros(inputs.shape[1] + 1), jac=True, method="L-BFGS-B")
    return Head(found.x[:-1].astype(np.float32), float(found.x[-1]))
