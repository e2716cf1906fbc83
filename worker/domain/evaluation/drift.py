"""What changes between a model and a faster copy of it: how far vectors turn, and which decisions flip."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from worker.domain.moderation.decision import Decision
from worker.domain.policies.policy import Action


@dataclass(frozen=True, slots=True)
class DecisionFlip:
    """A picture that the copy decides otherwise."""

    file: str
    before: Decision
    after: Decision


@dataclass(frozen=True, slots=True)
class PolicyDrift:
    """What one policy makes of the same pictures with the copy."""

    policy: str
    digest: str
    flips: tuple[DecisionFlip, ...]
    #: Pictures of the policy's own tests that no longer come out as expected: workers would refuse it.
    failed_tests: tuple[str, ...] = ()

    @property
    def ways(self) -> Counter[tuple[Action, Action]]:
        """How many flips go from which action to which; the same one where only labels differ."""
        return Counter((flip.before.action, flip.after.action) for flip in self.flips)


@dataclass(frozen=True, slots=True)
class Drift:
    """How a copy differs from its model over pictures that it was not made with."""

    #: For each picture, the cosine of its two vectors; of several views the smallest.
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
    """Whether two decisions differ in what is done, or in the labels that are the reason."""
    return before.action is not after.action or set(before.flagged) != set(after.flagged)
