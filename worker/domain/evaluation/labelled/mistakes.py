"""The worst mistakes of a label: true pictures with the lowest scores, harmless ones with the highest."""

from collections.abc import Sequence
from dataclasses import dataclass

from worker.domain.evaluation.labelled.picture import JudgedPicture
from worker.domain.moderation.scoring import LabelScore
from worker.domain.policies.policy import Label


@dataclass(frozen=True, slots=True)
class Mistakes:
    """The mistakes of one label at its review threshold, the worst first."""

    missed: tuple[JudgedPicture, ...]
    false_positives: tuple[JudgedPicture, ...]


def worst_mistakes(label: Label, judged: Sequence[JudgedPicture], most: int) -> Mistakes:
    """Return at most `most` missed pictures and as many false positives."""

    def score(one: JudgedPicture) -> float:
        return one.scores[label.name].score

    missed = [one for one in judged if label.name in one.picture.labels and score(one) < label.review]
    false_positives = [
        one for one in judged if label.name not in one.picture.labels and score(one) >= label.review
    ]
    return Mistakes(
        tuple(sorted(missed, key=score)[:most]),
        tuple(sorted(false_positives, key=score, reverse=True)[:most]),
    )


def decisive_phrases(score: LabelScore) -> tuple[str, str]:
    """Return the phrase that won and the one that lost: the one more like the picture won."""
    if score.margin < 0:
        return score.background, score.prompt
    return score.prompt, score.background
