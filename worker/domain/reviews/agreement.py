"""How far reviewers agree beyond chance, and how accurate they are on questions with a known answer."""

from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Agreement:
    """Pairs of answers to the same question, by two people."""

    pairs: int
    agreeing: int
    #: Cohen's kappa: 1 is full agreement, 0 is chance; None without pairs, or if chance alone always agrees.
    kappa: float | None


@dataclass(frozen=True, slots=True)
class Hits:
    """Answers to questions whose answer is known."""

    asked: int
    right: int

    @property
    def accuracy(self) -> float | None:
        """The share that was right; None if nothing was asked."""
        return self.right / self.asked if self.asked else None


def agreement(pairs: Iterable[tuple[Hashable, Hashable]]) -> Agreement:
    """Count the pairs whose answers are the same, and correct for chance.

    Cohen 1960, "A Coefficient of Agreement for Nominal Scales".
    """
    both = Counter(pairs)
    total = both.total()
    agreeing = sum(count for (first, second), count in both.items() if first == second)
    if total == 0:
        return Agreement(0, 0, None)
    firsts: Counter[Hashable] = Counter()
    seconds: Counter[Hashable] = Counter()
    for (first, second), count in both.items():
        firsts[first] += count
        seconds[second] += count
    # In whole numbers: rounding must not decide whether chance always agrees.
    by_chance = sum(firsts[answer] * seconds[answer] for answer in firsts)
    if by_chance == total * total:
        return Agreement(total, agreeing, None)
    return Agreement(total, agreeing, (agreeing * total - by_chance) / (total * total - by_chance))


def hits(pairs: Iterable[tuple[Hashable, Hashable]]) -> Hits:
    """Count how often a given answer is the known one; pairs are (given, known)."""
    asked = right = 0
    for given, known in pairs:
        asked += 1
        right += given == known
    return Hits(asked, right)
