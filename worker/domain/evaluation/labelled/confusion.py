"""What a label is taken in by: the phrases that decide its mistakes, and the labels it is confused with."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from worker.domain.evaluation.labelled.picture import SAFE, JudgedPicture
from worker.domain.policies.policy import Label


@dataclass(frozen=True, slots=True)
class PromptCount:
    """The flagged pictures for which one prompt was the best."""

    prompt: str
    hits: int
    false_positives: int


@dataclass(frozen=True, slots=True)
class RivalCount:
    """The missed pictures for which one background phrase or lookalike was the best."""

    phrase: str
    is_lookalike: bool
    missed: int


@dataclass(frozen=True, slots=True)
class Confusion:
    """Why pictures of one label are missed, and others flagged, at its review threshold."""

    #: All prompts of the label, those that carry most false positives first.
    prompts: tuple[PromptCount, ...]
    #: The phrases most like the missed pictures, most frequent first.
    rivals: tuple[RivalCount, ...]
    #: The labels that were flagged on missed pictures instead, and their number.
    flagged_instead: tuple[tuple[str, int], ...]
    #: The labels, or SAFE, that the false positives really have, and their number.
    really: tuple[tuple[str, int], ...]

    @classmethod
    def of(cls, label: Label, judged: Sequence[JudgedPicture]) -> Self:
        """Count the mistakes of one label."""
        flagged = [one for one in judged if one.scores[label.name].score >= label.review]
        hits = [one for one in flagged if label.name in one.picture.labels]
        false_positives = [one for one in flagged if label.name not in one.picture.labels]
        missed = [
            one
            for one in judged
            if label.name in one.picture.labels and one.scores[label.name].score < label.review
        ]
        return cls(
            prompts=_prompts(label, hits, false_positives),
            rivals=_rivals(label, missed),
            flagged_instead=_frequent(name for one in missed for name in one.decision.flagged),
            really=_frequent(name for one in false_positives for name in one.picture.labels or {SAFE}),
        )


def _prompts(
    label: Label, hits: Sequence[JudgedPicture], false_positives: Sequence[JudgedPicture]
) -> tuple[PromptCount, ...]:
    def carried(pictures: Sequence[JudgedPicture]) -> Counter[str]:
        return Counter(one.scores[label.name].prompt for one in pictures)

    good, bad = carried(hits), carried(false_positives)
    counts = [PromptCount(prompt, good[prompt], bad[prompt]) for prompt in dict.fromkeys(label.prompts)]
    return tuple(sorted(counts, key=lambda count: (-count.false_positives, -count.hits)))


def _rivals(label: Label, missed: Sequence[JudgedPicture]) -> tuple[RivalCount, ...]:
    phrases = Counter(one.scores[label.name].background for one in missed)
    return tuple(
        RivalCount(phrase, phrase in label.lookalikes, count) for phrase, count in phrases.most_common()
    )


def _frequent(names: Iterable[str]) -> tuple[tuple[str, int], ...]:
    return tuple(Counter(names).most_common())
