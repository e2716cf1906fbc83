"""The expectation of a policy test, compared with the decision on its picture."""

from collections.abc import Collection
from dataclasses import dataclass

from worker.domain.moderation.decision import Decision
from worker.domain.moderation.scoring import LabelScore
from worker.domain.policies.policy import Action, Policy, PolicyTest


@dataclass(frozen=True, slots=True)
class DecisiveScore:
    """A label's score and the threshold it was compared with."""

    score: LabelScore
    #: Which of the label's thresholds: review or block.
    action: Action
    threshold: float

    @property
    def distance(self) -> float:
        """The score minus its threshold."""
        return self.score.score - self.threshold

    def __str__(self) -> str:
        s = self.score
        return f"{s.label} {s.score:.2f} ({self.action.value} at {self.threshold:g}): {s.contest}"


def meets(test: PolicyTest, decision: Decision) -> bool:
    """Whether the decision is what the test expects."""
    right_action = test.action is None or test.action is decision.action
    return right_action and (test.labels is None or test.labels == set(decision.flagged))


def decisive_scores(policy: Policy, test: PolicyTest, decision: Decision) -> tuple[DecisiveScore, ...]:
    """Return the scores of the labels that were expected or flagged, or else the score nearest to flagging.

    Empty if the picture could not be judged.
    """
    named = (test.labels or frozenset()).union(decision.flagged)
    block = Action.BLOCK in (test.action, decision.action)
    scores = [_measured(policy, score, block=block) for score in decision.scores]
    if named or not scores:
        return tuple(score for score in scores if score.score.label in named)
    return (max(scores, key=lambda score: score.distance),)


def in_words(action: Action | None, labels: Collection[str] | None) -> str:
    """Return an outcome as people read it: "review, weapons"; None stands for any."""
    words = [action.value] if action else []
    if labels is not None:
        words.append(", ".join(sorted(labels)) or "no label")
    return ", ".join(words)


def _measured(policy: Policy, score: LabelScore, *, block: bool) -> DecisiveScore:
    label = policy.label(score.label)
    if block and label.block is not None:
        return DecisiveScore(score, Action.BLOCK, label.block)
    return DecisiveScore(score, Action.REVIEW, label.review)
