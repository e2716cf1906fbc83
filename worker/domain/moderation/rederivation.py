"""Differences between a recorded decision and the same decision re-derived from stored vectors."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from worker.domain.moderation.decision import Decision
from worker.domain.moderation.scoring import MOST_SCORES, LabelScore
from worker.domain.policies.policy import Action

#: The last bits of a phrase's vector depend on the other phrases in its batch.
SCORE_TOLERANCE: Final = 1e-3
COSINE_TOLERANCE: Final = 1e-4


def differences(
    action: Action, flagged: Sequence[str], scores: Sequence[LabelScore], rederived: Decision
) -> Iterator[str]:
    """Describe each difference between the recorded action, labels and scores, and the rederived ones."""
    if action is not rederived.action:
        yield f"action: recorded {action}, now {rederived.action}"
    if set(flagged) != set(rederived.flagged):
        yield f"flagged: recorded {_names(flagged)}, now {_names(rederived.flagged)}"
    before, after = ({score.label: score for score in some} for some in (scores, rederived.scores))
    for name in _only_in(before, after):
        yield f"label {name}: recorded, but not scored now"
    for name in _only_in(after, before):
        yield f"label {name}: scored now, but not recorded"
    for name in (name for name in after if name in before):
        yield from _score_differences(before[name], after[name])


def _only_in(one: Mapping[str, LabelScore], other: Mapping[str, LabelScore]) -> list[str]:
    """Return the labels missing in `other`, except those too low to be kept if `other` is truncated."""
    missing = sorted(one.keys() - other.keys())
    if len(other) < MOST_SCORES:
        return missing
    lowest = min(score.score for score in other.values())
    return [name for name in missing if one[name].score > lowest + SCORE_TOLERANCE]


def _score_differences(before: LabelScore, after: LabelScore) -> Iterator[str]:
    if abs(before.score - after.score) > SCORE_TOLERANCE:
        yield f"label {after.label}: score recorded {before.score:.4f}, now {after.score:.4f}"
    phrases = (
        ("prompt", before.prompt, before.prompt_cosine, after.prompt, after.prompt_cosine),
        (
            "background",
            before.background,
            before.background_cosine,
            after.background,
            after.background_cosine,
        ),
    )
    for what, old, old_cosine, new, new_cosine in phrases:
        # Of two phrases that are equally near, either may win.
        if old != new and abs(old_cosine - new_cosine) > COSINE_TOLERANCE:
            yield f'label {after.label}: {what} recorded "{old}", now "{new}"'


def _names(labels: Sequence[str]) -> str:
    return ", ".join(sorted(labels)) or "nothing"
