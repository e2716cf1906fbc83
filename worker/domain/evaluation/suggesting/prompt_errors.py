"""Finds prompts that carry false flags: those nearest to pictures that the label does not apply to."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from worker.domain.evaluation.suggesting.flags import Flags
from worker.domain.evaluation.suggesting.sample import FALSE, RIGHT
from worker.domain.evaluation.suggesting.search import gone_without, others_of
from worker.domain.evaluation.suggesting.standing import Standing
from worker.domain.evaluation.suggesting.suggestions import PromptErrors


def prompt_errors(standing: Standing, left: Flags) -> tuple[PromptErrors, ...]:
    """Return the prompts with false flags, those with most first; `left` are the flags after the additions.

    All pictures count, also those that suggestions were chosen on: nothing is chosen here.
    """
    found = _found(standing, Flags.of(standing), left)
    return tuple(sorted(found, key=lambda one: -one.false))


def _found(standing: Standing, flags: Flags, left: Flags) -> Iterator[PromptErrors]:
    truth, labels = flags.truth(standing.sample), flags.labels[flags.starts]
    false_now, false_left = _nearest(standing, flags), _nearest(standing, left)
    for number, label in enumerate(standing.policy.labels):
        right = (truth == RIGHT) & (labels == number)
        for prompt in dict.fromkeys(label.prompts):
            column = standing.index[prompt]
            false = int(((false_now == column) & (labels == number)).sum())
            if not false:
                continue
            kept = others_of(label.prompts, prompt)
            # A label's only prompt finds all that it finds.
            gone = gone_without(standing, flags, number, kept) if kept else labels == number
            yield PromptErrors(
                label=label.name,
                prompt=prompt,
                false=false,
                false_left=int(((false_left == column) & (left.labels[left.starts] == number)).sum()),
                false_of_label=int(((truth == FALSE) & (labels == number)).sum()),
                right_alone=int((gone & right).sum()),
                right_of_label=int(right.sum()),
            )


def _nearest(standing: Standing, flags: Flags) -> NDArray[np.intp]:
    """Return the column of the nearest prompt of each flag, in its strongest view; -1 if it is not false."""
    strongest = flags.strongest()
    labels, rows = flags.labels[strongest], flags.rows[strongest]
    nearest = np.full(len(strongest), -1, np.intp)
    for number, label in enumerate(standing.policy.labels):
        own = (labels == number) & (flags.truth(standing.sample) == FALSE)
        columns = np.array([standing.index[prompt] for prompt in label.prompts], np.intp)
        nearest[own] = columns[standing.similar[np.ix_(rows[own], columns)].argmax(axis=1)]
    return nearest
