"""Candidates: the ways in which a label can learn, each fitted to evidence."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.domain.learning import head
from worker.domain.learning.calibration import calibrate
from worker.domain.learning.evidence import Archive, Evidence
from worker.domain.learning.head import Head, fit_head
from worker.domain.moderation.learned import MAX_EXAMPLES, LearnedLabel, learned_logit
from worker.domain.moderation.scoring import Logits, Matrix

#: From this cosine on, two pictures are the same.
_SAME: Final = 0.9999


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """What one candidate learned, before calibration."""

    examples: Matrix
    slope: float = 1.0
    intercept: float = 0.0
    head: Head | None = None

    def logits(self, evidence: Evidence, archive: Archive) -> Logits:
        """Return the logits that it gives to pictures it was not fitted to."""
        return learned_logit(
            evidence.logits,
            evidence.vectors,
            evidence.near,
            evidence.standardised,
            self.calibrated("", 1.0, 0.0),
            archive.scale,
        )

    def calibrated(self, contest: str, slope: float, intercept: float) -> LearnedLabel:
        """Return it with a calibration of its logits."""
        added = self.head.intercept if self.head else 0.0
        return LearnedLabel(
            contest,
            self.examples,
            slope * self.slope,
            slope * (self.intercept + added) + intercept,
            np.float32(slope) * self.head.weights if self.head else None,
        )


#: Fits a candidate; the examples are chosen already. None if there is too little evidence for it.
Fitter = Callable[[Evidence, Archive, Matrix], Fit | None]


def unchanged(evidence: Evidence, archive: Archive, examples: Matrix) -> Fit | None:
    """Learn nothing; calibration may still change the scores."""
    del archive, examples
    return Fit(evidence.vectors[:0])


def with_examples(evidence: Evidence, archive: Archive, examples: Matrix) -> Fit | None:
    """Learn examples alone."""
    del evidence, archive
    return Fit(examples) if len(examples) else None


def with_head(evidence: Evidence, archive: Archive, examples: Matrix) -> Fit | None:
    """Learn a head alone."""
    del examples
    return _headed(evidence, archive, evidence.vectors[:0])


def with_both(evidence: Evidence, archive: Archive, examples: Matrix) -> Fit | None:
    """Learn examples, and a head on top of them."""
    return _headed(evidence, archive, examples) if len(examples) else None


#: By what they are called in proposals, simplest first.
CANDIDATES: Final[Mapping[str, Fitter]] = {
    "calibration": unchanged,
    "examples": with_examples,
    "a head": with_head,
    "examples and a head": with_both,
}


def choose_examples(evidence: Evidence, chosen: Matrix) -> Matrix:
    """Return at most MAX_EXAMPLES examples: those that people chose, then varied pictures with the label.

    Each further one is the picture least like those taken so far (Gonzalez 1985, "Clustering to Minimize the
    Maximum Intercluster Distance"), beginning with the most typical one. Shape (examples, dimension).
    """
    taken = [np.asarray(vector) for vector in chosen[:MAX_EXAMPLES]]
    rest = np.unique(evidence.vectors[evidence.truth], axis=0)
    if not taken and len(rest):
        typical = int((rest @ rest.mean(axis=0)).argmax())
        taken.append(rest[typical])
    while len(taken) < MAX_EXAMPLES and len(rest):
        likeness = (rest @ np.stack(taken).T).max(axis=1)
        if likeness.min() >= _SAME:
            break
        taken.append(rest[int(likeness.argmin())])
    return np.stack(taken) if taken else evidence.vectors[:0]


def _headed(evidence: Evidence, archive: Archive, examples: Matrix) -> Fit | None:
    if len(evidence) < head.LEAST_VERDICTS or evidence.fewest < head.LEAST_OF_A_KIND:
        return None
    logits = _without_own_match(evidence, archive, examples)
    slope, intercept = calibrate(logits, evidence.truth, np.ones(len(evidence)))
    fitted = fit_head(slope * logits + intercept, evidence.standardised, evidence.truth)
    return Fit(examples, slope, intercept, fitted)


def _without_own_match(evidence: Evidence, archive: Archive, examples: Matrix) -> Logits:
    """Return the logits with examples, in which no picture is its own example."""
    if not len(examples):
        return evidence.logits
    cosines = (evidence.vectors @ examples.T).astype(np.float64)
    others: NDArray[np.float64] = np.where(cosines >= _SAME, -1.0, cosines).max(axis=1)
    weight = LearnedLabel("", examples).example_weight
    has_other = others > -1.0
    return evidence.logits + np.where(has_other, weight * archive.scale * (others - evidence.near), 0.0)
