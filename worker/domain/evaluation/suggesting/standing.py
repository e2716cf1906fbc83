"""Where every view of a sample stands under a policy: its log-sums for and against each label.

The rule is that of `moderation.scoring`, with the sums of both sides kept apart, so that a phrase can be
added to a side or removed from it without summing the others again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.domain.evaluation.backtest import widened
from worker.domain.evaluation.suggesting.sample import Sample
from worker.domain.moderation.scoring import Logits, Matrix, PhraseVectors, own_lookalikes
from worker.domain.policies.policy import Policy

#: Rows multiplied at once.
_BLOCK: Final = 1024
#: No logit is as large; and not infinite, since thresholds are subtracted from each other.
_OUT_OF_REACH: Final = 1e6
#: From this logit on, a score is 1 in double precision.
_CERTAIN: Final = 36.8


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """The log-sums of a policy's phrases on each view."""

    policy: Policy
    sample: Sample
    #: The column of each phrase in `similar`.
    index: dict[str, int]
    #: Scaled cosines, shape (views, phrases).
    similar: Logits
    #: Log-sums of the prompts, and of background and lookalikes, shape (views, labels).
    prompts: Logits
    others: Logits

    @classmethod
    def of(cls, policy: Policy, vectors: PhraseVectors, sample: Sample, scale: float) -> "Standing":
        """Compare each view with the policy's phrases; `scale` is the model's factor on cosines."""
        phrases = list(dict.fromkeys(policy.phrases()))
        index = {phrase: column for column, phrase in enumerate(phrases)}
        matrix = vectors.matrix[[vectors.index[phrase] for phrase in phrases]]
        similar = similarities(sample.vectors, matrix, scale)

        def joined(phrases: Sequence[str]) -> Logits:
            columns = [index[phrase] for phrase in dict.fromkeys(phrases)]
            total: Logits = np.logaddexp.reduce(similar[:, columns], axis=1)
            return total

        background = joined(policy.background)
        others = [
            np.logaddexp(background, joined(own)) if (own := own_lookalikes(policy, label)) else background
            for label in policy.labels
        ]
        prompts = [joined(label.prompts) for label in policy.labels]
        return cls(policy, sample, index, similar, np.stack(prompts, axis=1), np.stack(others, axis=1))

    @property
    def reviews(self) -> NDArray[np.float64]:
        """The logit from which each label is flagged, shape (labels,)."""
        return _logits([label.review for label in self.policy.labels])

    @property
    def blocks(self) -> NDArray[np.float64]:
        """The logit from which each label blocks, out of reach if it never does, shape (labels,)."""
        never = np.array([label.block is None for label in self.policy.labels])
        return np.where(never, _OUT_OF_REACH, _logits([label.block or 0.0 for label in self.policy.labels]))


def similarities(vectors: NDArray[np.float16], matrix: Matrix, scale: float) -> Logits:
    """Return scaled cosines of vectors with phrases, shape (vectors, phrases)."""
    found = np.empty((len(vectors), len(matrix)))
    for start in range(0, len(vectors), _BLOCK):
        rows = np.ascontiguousarray(vectors[start : start + _BLOCK])
        found[start : start + len(rows)] = scale * (widened(rows) @ matrix.T)
    return found


def without(total: Logits, part: Logits) -> Logits:
    """Return log(exp(total) - exp(part)): what is left of a log-sum without one of its terms."""
    with np.errstate(divide="ignore"):
        left: Logits = total + np.log1p(-np.exp(np.minimum(part - total, 0)))
    return left


def _logits(shares: Sequence[float]) -> NDArray[np.float64]:
    """Return log(p / (1 - p)) of thresholds from 0 to 1: 0 is always reached, 1 by scores that round to 1."""
    p = np.array(shares, np.float64)
    with np.errstate(divide="ignore"):
        logits: NDArray[np.float64] = np.clip(np.log(p) - np.log1p(-p), -_OUT_OF_REACH, _CERTAIN)
    return logits
