"""Finds phrases that do nothing: never the nearest of their list, and no decision changes without them."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.domain.evaluation.policy_lint import MIN_PICTURES
from worker.domain.evaluation.suggesting.standing import Standing, without
from worker.domain.evaluation.suggesting.suggestions import IdlePhrase
from worker.domain.moderation.scoring import Logits, own_lookalikes

#: The columns of a policy's labels.
Columns = NDArray[np.intp]
_LABELS_OF: Final = "labels"


def idle_phrases(standing: Standing) -> tuple[IdlePhrase, ...] | None:
    """Return phrases that can all be removed together without another decision on any picture.

    None if the sample has fewer than MIN_PICTURES pictures, where a phrase may merely be rare.
    """
    if len(standing.sample.views) < MIN_PICTURES:
        return None
    return tuple(_idle(standing))


def _idle(standing: Standing) -> Iterator[IdlePhrase]:
    prompts, others = standing.prompts.copy(), standing.others.copy()
    before = _levels(standing, prompts, others)
    for path, phrase, is_prompt, labels in _never_nearest(standing):
        side = prompts if is_prompt else others
        kept = side[:, labels]
        side[:, labels] = without(kept, standing.similar[:, standing.index[phrase], None])
        if np.array_equal(_levels(standing, prompts, others), before):
            yield IdlePhrase(path, phrase)
        else:
            side[:, labels] = kept


def _never_nearest(standing: Standing) -> Iterator[tuple[tuple[str, ...], str, bool, Columns]]:
    """Yield the path of each phrase that is never the nearest, whether it is a prompt, and its labels."""
    policy, every = standing.policy, np.arange(len(standing.policy.labels))
    background = _nearest(standing, policy.background)
    for phrase in _missing(standing, policy.background, background):
        yield ("background",), phrase, False, every
    for number, label in enumerate(policy.labels):
        own = every[number : number + 1]
        lookalikes = own_lookalikes(policy, label)
        nearest = _nearest(standing, (*policy.background, *lookalikes))
        for phrase in _missing(standing, lookalikes, nearest):
            yield (_LABELS_OF, label.name, "lookalikes"), phrase, False, own
        for phrase in _missing(standing, label.prompts, _nearest(standing, label.prompts)):
            yield (_LABELS_OF, label.name, "prompts"), phrase, True, own


def _nearest(standing: Standing, phrases: Sequence[str]) -> frozenset[int]:
    """Return the columns that are the nearest of some phrases to at least one view."""
    columns = np.array([standing.index[phrase] for phrase in phrases], np.intp)
    return frozenset(np.unique(columns[standing.similar[:, columns].argmax(axis=1)]).tolist())


def _missing(standing: Standing, phrases: Sequence[str], nearest: frozenset[int]) -> list[str]:
    return [phrase for phrase in dict.fromkeys(phrases) if standing.index[phrase] not in nearest]


def _levels(standing: Standing, prompts: Logits, others: Logits) -> NDArray[np.int8]:
    """Return 0, 1 or 2 for each picture and label: allowed, flagged, blocked."""
    logits = np.maximum.reduceat(prompts - others, standing.sample.firsts, axis=0)
    return (logits >= standing.reviews).astype(np.int8) + (logits >= standing.blocks)
