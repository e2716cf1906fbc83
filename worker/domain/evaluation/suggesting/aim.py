"""What a change is for: false flags to lose, right ones to keep, and when an effect is above chance.

Where people gave verdicts, these say which flags are wrong. Without verdicts, all flags of labels that flag
many uploads are suspected; nothing tells right from wrong then.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.domain.evaluation.suggesting.flags import Flags, Mask
from worker.domain.evaluation.suggesting.sample import FALSE, RIGHT, UNKNOWN, Sample
from worker.domain.evaluation.suggesting.suggestions import Effect

#: A right flag that is lost counts as much as this many false ones: a miss stays unseen, a false flag costs a
#: reviewer a moment.
COST_OF_LOSS: Final = 5
#: With fewer verdicts on flags, verdicts choose nothing.
LEAST_JUDGED: Final = 20
#: From this share of uploads on, a label is busy.
BUSY: Final = 0.03
_CONFIDENCE: Final = 0.95


@dataclass(frozen=True, slots=True, eq=False)
class Aim:
    """What each flag of a sample is worth if it disappears."""

    sample: Sample
    by_verdict: bool
    #: Which labels are suspected if there are no verdicts, shape (labels,).
    suspected: NDArray[np.bool_]

    def worth(self, flags: Flags) -> NDArray[np.float64]:
        """Return what each flag's disappearance is worth, in false flags; 0 on the half that is held out."""
        truth, pictures, labels = self._of(flags)
        if self.by_verdict:
            worth = self.sample.weights[pictures] * np.where(truth == RIGHT, -COST_OF_LOSS, truth == FALSE)
        else:
            worth = self.suspected[labels].astype(np.float64)
        worth[self.sample.is_held_out[pictures]] = 0.0
        return worth

    def effect(self, flags: Flags, gone: Mask, label: int | None = None) -> Effect:
        """Count on the half that is held out, among the flags of one label or of all."""
        truth, pictures, labels = self._of(flags)
        counted = self.sample.is_held_out[pictures]
        if label is not None:
            counted &= labels == label
        gone = gone & counted
        numbers = [
            int(which[truth == kind].sum()) for kind in (FALSE, RIGHT, UNKNOWN) for which in (gone, counted)
        ]
        return Effect(*numbers)

    def is_above_chance(self, effect: Effect) -> bool:
        """Whether more is gained on the held-out half than a coin would, and than a loss costs.

        The exact test of McNemar 1947, "Note on the Sampling Error of the Difference Between Correlated
        Proportions or Percentages", at 95 %: five false flags at least, if no right one is lost.
        """
        # SciPy takes seconds to import, and the other commands for policies do without it.
        from worker.domain.evaluation.intervals import lower_bound  # noqa: PLC0415

        gone, lost = (effect.false_gone, effect.right_gone) if self.by_verdict else (effect.unjudged_gone, 0)
        return gone > COST_OF_LOSS * lost and lower_bound(gone, gone + lost, _CONFIDENCE) > 1 / 2

    def examples(self, flags: Flags, gone: Mask, most: int) -> tuple[str, ...]:
        """Return submissions whose disappearance is welcome."""
        truth, pictures, labels = self._of(flags)
        welcome = truth == FALSE if self.by_verdict else self.suspected[labels]
        found = dict.fromkeys(pictures[gone & welcome].tolist())
        return tuple(self.sample.submission_ids[picture] for picture in list(found)[:most])

    def _of(self, flags: Flags) -> tuple[NDArray[np.int8], NDArray[np.intp], NDArray[np.intp]]:
        starts = flags.starts
        return flags.truth(self.sample), flags.pictures[starts], flags.labels[starts]
