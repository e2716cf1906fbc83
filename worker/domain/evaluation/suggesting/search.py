"""Greedy search for phrases to add and prompts to remove.

Each step takes the phrase that is worth most on one half of the pictures, and keeps it if its effect on the
other half is above chance. The next one is tried on what is left.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.domain.evaluation.suggesting.aim import Aim
from worker.domain.evaluation.suggesting.candidates import Candidates
from worker.domain.evaluation.suggesting.flags import Flags, Mask
from worker.domain.evaluation.suggesting.standing import Standing, similarities
from worker.domain.evaluation.suggesting.suggestions import Change, Edit, Place
from worker.domain.moderation.scoring import Logits

#: On the choosing half, a change must be worth this many false flags.
_LEAST_WORTH: Final = 3.0
#: After this many choices in a row without an effect on the other half, the search ends.
_MOST_FAILURES: Final = 8
#: With fewer right flags on the held-out half, the cost of removing a prompt is unknown.
LEAST_RIGHT: Final = 5
_EXAMPLES: Final = 3


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """The changes, and the flags that are left after them."""

    changes: tuple[Change, ...]
    flags: Flags


class AddPhrases:
    """Adds harmless phrases, each to the background or to the lookalikes of one label."""

    def __init__(self, standing: Standing, candidates: Candidates, aim: Aim, scale: float) -> None:
        self._standing, self._candidates, self._aim, self._scale = standing, candidates, aim, scale

    def __call__(self, most: int) -> Found:
        """Return at most `most` additions."""
        flags, changes, failures = Flags.of(self._standing), list[Change](), 0
        similar = self._similar(flags)
        allowed = self._allowed()
        while len(changes) < most and failures < _MOST_FAILURES and len(flags.rows) and similar.shape[1]:
            label, column, named = self._best(flags, similar, allowed)
            if named is None:
                break
            allowed[label, column] = False
            number = None if label == len(self._standing.policy.labels) else label
            if not self._aim.is_above_chance(self._aim.effect(flags, named, number)):
                failures += 1
                continue
            failures = 0
            more = similar[:, column]
            if number is not None:
                more = np.where(flags.labels == number, more, -np.inf)
            gone = flags.all_of(more > flags.room)
            effect, examples = (
                self._aim.effect(flags, gone, number),
                self._aim.examples(flags, named, _EXAMPLES),
            )
            changes.append(Change(self._edit(number, column), effect, examples))
            kept = flags.prompts >= np.logaddexp(flags.others, more)
            flags, similar = flags.at(kept).with_others(more[kept]), similar[kept]
        return Found(tuple(changes), flags)

    def _similar(self, flags: Flags) -> Logits:
        vectors = self._standing.sample.vectors[flags.rows]
        return similarities(vectors, self._candidates.matrix, self._scale)

    def _allowed(self) -> NDArray[np.bool_]:
        """Return which phrases may go where: a row for each label, the last one for the background."""
        return np.vstack([self._candidates.in_lookalikes, self._candidates.in_background])

    def _best(
        self, flags: Flags, similar: Logits, allowed: NDArray[np.bool_]
    ) -> tuple[int, int, Mask | None]:
        """Return the row and the column of the addition that is worth most, and the flags that it takes."""
        gone = flags.all_of(similar > self._needed(flags)[:, None])
        labels = flags.labels[flags.starts]
        own = labels == np.arange(len(allowed) - 1)[:, None]
        by_label = (own * self._aim.worth(flags)) @ gone
        worth = np.where(allowed, np.vstack([by_label, by_label.sum(axis=0)]), -np.inf)
        # The first of equal ones is the lookalike, which changes nothing for other labels.
        label, column = divmod(int(worth.argmax()), worth.shape[1])
        if worth[label, column] < _LEAST_WORTH:
            return label, column, None
        taken = gone[:, column]
        return label, column, taken if label == len(own) else taken & own[label]

    def _needed(self, flags: Flags) -> Logits:
        """Return how similar a phrase must be to each view to take it below the threshold.

        Without verdicts, a phrase must also be nearer than any prompt: it must name what is there.
        """
        room = flags.room
        return room if self._aim.by_verdict else np.maximum(room, self._nearest_prompt(flags))

    def _nearest_prompt(self, flags: Flags) -> Logits:
        found = np.empty(len(flags.rows))
        for number, label in enumerate(self._standing.policy.labels):
            own = flags.labels == number
            columns = [self._standing.index[prompt] for prompt in label.prompts]
            found[own] = self._standing.similar[np.ix_(flags.rows[own], columns)].max(axis=1)
        return found

    def _edit(self, label: int | None, column: int) -> Edit:
        phrase = self._candidates.phrases[column]
        if label is None:
            return Edit(Place.BACKGROUND, phrase)
        return Edit(Place.LOOKALIKES, phrase, self._standing.policy.labels[label].name)


class RemovePrompts:
    """Removes prompts that find more wrong pictures than right ones."""

    def __init__(self, standing: Standing, aim: Aim) -> None:
        self._standing, self._aim = standing, aim

    def __call__(self, flags: Flags, most: int) -> Found:
        """Return at most `most` removals, on top of the additions that led to `flags`."""
        changes, failures, tried = list[Change](), 0, set[tuple[int, str]]()
        kept = {
            number: list(dict.fromkeys(label.prompts))
            for number, label in enumerate(self._standing.policy.labels)
        }
        while len(changes) < most and failures < _MOST_FAILURES:
            best = self._best(flags, kept, tried)
            if best is None:
                break
            number, prompt, gone = best
            tried.add((number, prompt))
            effect = self._aim.effect(flags, gone, number)
            if effect.right < LEAST_RIGHT or not self._aim.is_above_chance(effect):
                failures += 1
                continue
            failures = 0
            kept[number] = others_of(kept[number], prompt)
            edit = Edit(Place.PROMPTS, prompt, self._standing.policy.labels[number].name)
            changes.append(Change(edit, effect, self._aim.examples(flags, gone, _EXAMPLES)))
            flags = flags.with_prompts(prompts_of(self._standing, flags, number, kept[number]))
        return Found(tuple(changes), flags)

    def _best(
        self, flags: Flags, kept: dict[int, list[str]], tried: set[tuple[int, str]]
    ) -> tuple[int, str, Mask] | None:
        worth, best = self._aim.worth(flags), _LEAST_WORTH
        found = None
        for number, prompts in kept.items():
            for prompt in prompts if len(prompts) > 1 else ():
                if (number, prompt) in tried:
                    continue
                gone = gone_without(self._standing, flags, number, others_of(prompts, prompt))
                if (value := float(worth[gone].sum())) >= best:
                    best, found = value + 1e-9, (number, prompt, gone)
        return found


def gone_without(standing: Standing, flags: Flags, label: int, kept: Sequence[str]) -> Mask:
    """Return which flags disappear if a label has only the prompts `kept`, at least one."""
    return flags.all_of((flags.labels == label) & (prompts_of(standing, flags, label, kept) < flags.others))


def prompts_of(standing: Standing, flags: Flags, label: int, kept: Sequence[str]) -> Logits:
    """Return the log-sums of prompts, less the thresholds, if a label has only the prompts `kept`.

    They are summed anew: beside a prompt that is much nearer, nothing is left of the others to subtract from.
    """
    own = flags.labels == label
    columns = [standing.index[prompt] for prompt in dict.fromkeys(kept)]
    sums = flags.prompts.copy()
    similar = standing.similar[np.ix_(flags.rows[own], columns)]
    sums[own] = np.logaddexp.reduce(similar, axis=1) - standing.reviews[label]
    return sums


def others_of(prompts: Sequence[str], prompt: str) -> list[str]:
    """Return the prompts without one of them."""
    return [other for other in prompts if other != prompt]
