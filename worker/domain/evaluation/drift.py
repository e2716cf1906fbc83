"""Drift between a model and a faster copy of it: how far vectors turn, and which decisions flip."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from worker.domain.moderation.decision import Decision
from worker.domain.policies.policy import Action


@dataclass(frozen=True, slots=True)
class DecisionFlip:
    """A picture on which the copy decides differently."""

    file: str
    before: Decision
    after: Decision


@dataclass(frozen=True, slots=True)
class PolicyDrift:
    """The decisions of one policy that the copy changes."""

    policy: str
    digest: str
    flips: tuple[DecisionFlip, ...]
    #: Pictures of the policy's tests that fail with the copy: workers would refuse the policy.
    failed_tests: tuple[str, ...] = ()

    @property
    def ways(self) -> Counter[tuple[Action, Action]]:
        """The number of flips by (old action, new action); both are the same if only labels differ."""
        return Counter((flip.before.action, flip.after.action) for flip in self.flips)


@dataclass(frozen=True, slots=True)
class Drift:
    """How a copy differs from its model on pictures that were not used to make it."""

    #: For each picture, the cosine of its two vectors; the smallest one if it has several views.
    cosines: Sequence[float]
    #: The picture whose vectors are furthest apart.
    furthest: str
    policies: tuple[PolicyDrift, ...]

    @property
    def mean(self) -> float:
        """The mean cosine."""
        return sum(self.cosines) / len(self.cosines)

    @property
    def least(self) -> float:
        """The smallest cosine."""
        return min(self.cosines)


def is_flip(before: Decision, after: Decision) -> bool:
    """Whether two decisions differ in their action or in their flagged labels."""
    return before.action is not after.action or set(before.flagged) != set(after.flagged)
