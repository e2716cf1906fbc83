"""Flags of a sample, and which of them disappear if a phrase is added or removed.

More background or fewer prompts only lower scores, so only what is flagged now has to be looked at again.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from worker.domain.evaluation.suggesting.sample import Sample
from worker.domain.evaluation.suggesting.standing import Standing, without
from worker.domain.moderation.scoring import Logits

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Flags:
    """The views that reach a label's threshold, sorted by picture and label.

    A flag is a picture and a label: one view or several neighbouring ones. It disappears when the last of its
    views falls below the threshold.
    """

    #: Of each flagged view: its row in the sample, its picture, its label.
    rows: NDArray[np.intp]
    pictures: NDArray[np.intp]
    labels: NDArray[np.intp]
    #: Its log-sums, that of the prompts less the label's threshold.
    prompts: Logits
    others: Logits

    @classmethod
    def of(cls, standing: Standing) -> "Flags":
        """Return the flags under a policy."""
        prompts = standing.prompts - standing.reviews
        rows, labels = np.nonzero(prompts >= standing.others)
        pictures = standing.sample.owners[rows]
        order = np.lexsort((rows, labels, pictures))
        rows, labels, pictures = rows[order], labels[order], pictures[order]
        return cls(rows, pictures, labels, prompts[rows, labels], standing.others[rows, labels])

    @property
    def starts(self) -> NDArray[np.intp]:
        """The first view of each flag."""
        if not len(self.rows):
            return np.empty(0, np.intp)
        is_new = (np.diff(self.pictures) != 0) | (np.diff(self.labels) != 0)
        return np.concatenate(([0], np.flatnonzero(is_new) + 1))

    def truth(self, sample: Sample) -> NDArray[np.int8]:
        """Return what people said of each flag: RIGHT, UNKNOWN or FALSE."""
        starts = self.starts
        truth: NDArray[np.int8] = sample.truth[self.pictures[starts], self.labels[starts]]
        return truth

    @property
    def room(self) -> Logits:
        """How similar a harmless phrase must be, at least, to take each view below the threshold."""
        return without(self.prompts, self.others)

    def all_of(self, views: Mask) -> Mask:
        """Return which flags have only views of a mask; along the first axis."""
        starts = self.starts
        if not len(starts):
            return views[:0]
        flags: Mask = np.logical_and.reduceat(views, starts, axis=0)
        return flags

    def strongest(self) -> NDArray[np.intp]:
        """Return the flagged view of each flag with the highest logit."""
        starts, logits = self.starts, self.prompts - self.others
        flag = np.repeat(np.arange(len(starts)), np.diff([*starts, len(self.rows)]))
        order = np.lexsort((logits, flag))
        last: NDArray[np.intp] = order[np.append(starts[1:], len(order))[: len(starts)] - 1]
        return last

    def with_others(self, more: Logits) -> "Flags":
        """Return the flags that are left with this much more harmless similarity at each view."""
        return replace(self, others=np.logaddexp(self.others, more)).left()

    def with_prompts(self, prompts: Logits) -> "Flags":
        """Return the flags that are left with these log-sums of prompts."""
        return replace(self, prompts=prompts).left()

    def left(self) -> "Flags":
        """Return the views that still reach the threshold."""
        return self.at(self.prompts >= self.others)

    def at(self, views: Mask) -> "Flags":
        """Return some of the flagged views."""
        return Flags(
            self.rows[views],
            self.pictures[views],
            self.labels[views],
            self.prompts[views],
            self.others[views],
        )
