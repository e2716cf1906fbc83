"""How far people agree beyond chance, and how often they hit a known answer."""

from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Agreement:
    """Pairs of answers to the same question, by two people."""

    pairs: int
    agreeing: int
    #: 1 for always the same, 0 for as by chance; None where chance alone agrees always, or there are none.
    kappa: float | None


@dataclass(frozen=True, slots=True)
class Hits:
    """Answers to questions whose answer is known."""

    asked: int
    right: int

    @property
    def accuracy(self) -> float | None:
        """The share that was right; None where nothing was asked."""
        return self.right / self.asked if self.asked else None


def agreement(pairs: Iterable[tuple[Hashable, Hashable]]) -> Agreement:
    """Count how often both answers of a pair are the same, and how much of that chance explains.

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
    # Whole numbers as long as it goes: whether chance agrees always must not hang on rounding.
    by_chance = sum(firsts[answer] * seconds[answer] for answer in firsts)
    if by_chance == total * total:
        return Agreement(total, agreeing, None)
    return Agreement(total, agreeing, (agreeing * total - by_chance) / (total * total - by_chance))


def hits(pairs: Iterable[tuple[Hashable, Hashable]]) -> Hits:
    """Count how often the first of a pair, an answer, is the second, the known one."""
    asked = right = 0
    for given, known in pairs:
        asked += 1
        right += given == known
    return Hits(asked, right)
