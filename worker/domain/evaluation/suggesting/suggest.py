"""Finds everything that is worth changing in a policy, from a sample of the archive."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.domain.evaluation.suggesting.aim import BUSY, LEAST_JUDGED, Aim
from worker.domain.evaluation.suggesting.candidates import Candidates
from worker.domain.evaluation.suggesting.flags import Flags, Mask
from worker.domain.evaluation.suggesting.idle import idle_phrases
from worker.domain.evaluation.suggesting.looks import first_views, looks_of, unnamed
from worker.domain.evaluation.suggesting.prompt_errors import prompt_errors
from worker.domain.evaluation.suggesting.sample import FALSE, RIGHT, UNKNOWN, Sample
from worker.domain.evaluation.suggesting.search import AddPhrases, RemovePrompts
from worker.domain.evaluation.suggesting.standing import Standing
from worker.domain.evaluation.suggesting.suggestions import BusyLabel, FalseFlags, Look, Suggestions
from worker.domain.moderation.scoring import Matrix, PhraseVectors
from worker.domain.policies.policy import Policy

#: With fewer pictures, half of them choose by chance and the other half measures nothing.
LEAST_PICTURES: Final = 50


@dataclass(frozen=True, slots=True, eq=False)
class Uploads:
    """What was counted over the whole archive: uploads, and those that each label flags, shape (labels,)."""

    count: int
    flagged: NDArray[np.intp]

    @property
    def busy(self) -> NDArray[np.bool_]:
        """Which labels flag many uploads."""
        return self.flagged >= BUSY * max(self.count, 1)


@dataclass(frozen=True, slots=True, eq=False)
class Suggest:
    """Suggest changes of one policy."""

    policy: Policy
    #: Of the policy's phrases and of the nouns.
    vectors: PhraseVectors
    nouns: Sequence[str]
    #: The model's factor on cosines.
    scale: float

    def __call__(self, sample: Sample, uploads: Uploads, most: int) -> Suggestions:
        """Return the suggestions, at most `most` changes, phrases and names of each kind."""
        standing = Standing.of(self.policy, self.vectors, sample, self.scale)
        flags, candidates = (
            Flags.of(standing),
            Candidates.of(self.policy, self.nouns, self.vectors),
        )
        truth = flags.truth(sample)
        by_verdict = int((truth != UNKNOWN).sum()) >= LEAST_JUDGED
        names = unnamed(sample, candidates, self._known())
        aim = Aim(sample, by_verdict, uploads.busy)
        # Without verdicts only what many people upload is taken to be harmless: of all nouns, a trial chose
        # "a soft drink" for the label alcohol, which took right flags away.
        tried = candidates if by_verdict else candidates.only([look.noun for look in names])
        added = AddPhrases(standing, tried, aim, self.scale)(most)
        removed = RemovePrompts(standing, aim)(added.flags, most - len(added.changes))
        idle = idle_phrases(standing)
        return Suggestions(
            pictures=len(sample.views),
            judged=int(sample.has_verdict.sum()),
            false=int((truth == FALSE).sum()),
            right=int((truth == RIGHT).sum()),
            by_verdict=by_verdict,
            changes=(*added.changes, *removed.changes),
            prompts=prompt_errors(standing, added.flags)[:most],
            busy=self._busy(flags, sample, uploads, candidates),
            unnamed=names[:most],
            left=self._left(removed.flags, sample, candidates)[:most],
            idle=idle,
        )

    def _busy(
        self, flags: Flags, sample: Sample, uploads: Uploads, candidates: Candidates
    ) -> tuple[BusyLabel, ...]:
        labels = flags.labels[flags.starts]
        found = [
            BusyLabel(
                label=self.policy.labels[number].name,
                flagged=int(uploads.flagged[number]),
                uploads=uploads.count,
                looks=_looks(flags, labels == number, sample, candidates),
            )
            for number in np.flatnonzero(uploads.busy).tolist()
        ]
        return tuple(sorted(found, key=lambda one: -one.flagged))

    def _left(self, flags: Flags, sample: Sample, candidates: Candidates) -> tuple[FalseFlags, ...]:
        labels, is_false = flags.labels[flags.starts], flags.truth(sample) == FALSE
        found = []
        for number, label in enumerate(self.policy.labels):
            own = is_false & (labels == number)
            if own.any():
                looks = _looks(flags, own, sample, candidates)
                found.append(FalseFlags(label.name, int(own.sum()), looks))
        return tuple(sorted(found, key=lambda one: -one.count))

    def _known(self) -> Matrix:
        return self.vectors.matrix[[self.vectors.index[phrase] for phrase in self.policy.phrases()]]


def _looks(flags: Flags, which: Mask, sample: Sample, candidates: Candidates) -> tuple[Look, ...]:
    """Return what the pictures of some flags look like, each in its strongest view."""
    rows = flags.rows[flags.strongest()[which]]
    usual = first_views(sample, np.flatnonzero(sample.drawn))
    return looks_of(sample.vectors[rows].astype(np.float32), usual, candidates)
