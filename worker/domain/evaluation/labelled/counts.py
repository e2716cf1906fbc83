"""How a rule sorts labelled pictures: four counts, and their shares with intervals."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from worker.domain.evaluation.curves import Flags
from worker.domain.evaluation.intervals import UNKNOWN, Interval, clopper_pearson


@dataclass(frozen=True, slots=True)
class Counts:
    """Pictures by what they are, and whether they are flagged."""

    #: True pictures that are flagged, and that are not.
    hits: int
    missed: int
    #: Harmless pictures that are flagged, and that are not.
    false_positives: int
    passed: int

    @classmethod
    def of(cls, flagged: Flags, truth: Flags) -> Self:
        """Count pictures; both have shape (pictures,)."""

        def count(pictures: Flags) -> int:
            return int(np.count_nonzero(pictures))

        return cls(
            hits=count(flagged & truth),
            missed=count(~flagged & truth),
            false_positives=count(flagged & ~truth),
            passed=count(~flagged & ~truth),
        )

    @property
    def true(self) -> int:
        """The number of true pictures."""
        return self.hits + self.missed

    @property
    def harmless(self) -> int:
        """The number of harmless pictures."""
        return self.false_positives + self.passed

    @property
    def flagged(self) -> int:
        """The number of flagged pictures."""
        return self.hits + self.false_positives

    @property
    def precision(self) -> Interval:
        """The share of the flagged pictures that are true, in this mixture; unknown if none could be."""
        return clopper_pearson(self.hits, self.flagged) if self.true else UNKNOWN

    @property
    def recall(self) -> Interval:
        """The share of the true pictures that are flagged."""
        return clopper_pearson(self.hits, self.true)

    @property
    def false_positive_rate(self) -> Interval:
        """The share of the harmless pictures that are flagged."""
        return clopper_pearson(self.false_positives, self.harmless)
