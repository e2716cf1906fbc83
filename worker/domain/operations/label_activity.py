"""What the labels of a policy do: how often each is flagged, and how its scores are distributed."""

import math
from bisect import bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from worker.domain.moderation.decision import Decision

Counts = NDArray[np.int64]

#: The logits between two bins. A score is `sigmoid(scale * margin)`, so a bin of the logit is as wide
#: everywhere as a range of margins; bins of equal width in the score would put nearly all into the outer two.
_LOGITS: Final = tuple(range(-9, 10))
#: The scores between two bins.
EDGES: Final = tuple(1 / (1 + math.exp(-logit)) for logit in _LOGITS)
BINS: Final = len(EDGES) + 1
#: The flags of a label, then its histogram.
COLUMNS: Final = 1 + BINS


@dataclass(slots=True, eq=False)
class Activity:
    """What was counted of the pictures that one policy version judged."""

    #: Judged pictures.
    uploads: int = 0
    #: The row of each label in `counts`.
    rows: dict[str, int] = field(default_factory=dict)
    #: Of each label, how often it was flagged, then the histogram of its scores: shape (labels, COLUMNS).
    counts: Counts = field(default_factory=lambda: np.zeros((0, COLUMNS), np.int64))

    @classmethod
    def of(cls, uploads: int, labels: Sequence[str], counts: ArrayLike) -> "Activity":
        """Return what was counted before; shapes as in the attributes."""
        return cls(uploads, {label: row for row, label in enumerate(labels)}, np.array(counts, np.int64))

    def count(self, decision: Decision) -> None:
        """Count a decision; one without scores is about a picture that was not judged, and is left out."""
        if not decision.scores:
            return
        self.uploads += 1
        rows = self._rows([score.label for score in decision.scores])
        self.counts[rows, [1 + bisect_right(EDGES, score.score) for score in decision.scores]] += 1
        flagged = self._rows(decision.flagged)
        self.counts[flagged, 0] += 1

    def add(self, other: "Activity") -> None:
        """Add what was counted elsewhere."""
        self.uploads += other.uploads
        rows = self._rows(other.rows)
        self.counts[rows] += other.counts

    def _rows(self, labels: Collection[str]) -> list[int]:
        """Return the rows of distinct labels; labels that were not seen before get one."""
        if new := [label for label in labels if label not in self.rows]:
            self.rows |= {label: len(self.rows) + n for n, label in enumerate(new)}
            self.counts = np.concatenate([self.counts, np.zeros((len(new), COLUMNS), np.int64)])
        return [self.rows[label] for label in labels]


@dataclass(frozen=True, slots=True)
class Hour:
    """What one policy version did within an hour."""

    #: The start of the hour; UTC.
    at: datetime
    policy: str
    #: The digest of the policy.
    version: str
    activity: Activity


@dataclass(frozen=True, slots=True)
class Series:
    """The labels of several hours."""

    labels: Sequence[str]
    #: The uploads of each hour on which each label was flagged, and the others: shape (labels, hours, 2).
    flags: Counts
    #: The histogram of each label's scores in each hour, shape (labels, hours, BINS). The lowest bin has the
    #: uploads, too, whose score for the label was not kept: it was not among the highest.
    scores: Counts

    @classmethod
    def of(cls, hours: Sequence[Hour]) -> "Series":
        """Return all labels that were seen in these hours."""
        labels = list(dict.fromkeys(label for hour in hours for label in hour.activity.rows))
        places = {label: place for place, label in enumerate(labels)}
        counts = np.zeros((len(labels), len(hours), COLUMNS), np.int64)
        for number, hour in enumerate(hours):
            counts[[places[label] for label in hour.activity.rows], number] = hour.activity.counts
        uploads = np.array([hour.activity.uploads for hour in hours], np.int64)
        flagged, scores = counts[:, :, 0], counts[:, :, 1:]
        scores[:, :, 0] += uploads - scores.sum(axis=2)
        return cls(labels, np.stack([flagged, uploads - flagged], axis=2), scores)


def quantile(histogram: Counts, share: float) -> float:
    """Return the score that this share of the scores is below; exact to a bin, interpolated within it.

    `histogram` has shape (BINS,) and is not empty.
    """
    below = np.concatenate([[0.0], np.cumsum(histogram) / histogram.sum()])
    place = int(np.searchsorted(below, share, side="left")) - 1
    place = min(max(place, 0), BINS - 1)
    within = (share - below[place]) / (below[place + 1] - below[place])
    return 1 / (1 + math.exp(-(_LOGITS[0] - 1 + place + float(within))))
