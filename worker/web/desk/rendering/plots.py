"""Computes the bars of the lead's plots; the template draws them as inline SVG."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from worker.domain.policies.policy import Action
from worker.store.reviews.review_statistics import DayCount
from worker.svg import StackedBar

#: Size of the plot by day, and width of a bar in a table, in SVG units.
WIDTH: Final = 720
HEIGHT: Final = 160
BAR: Final = 160
_GAP: Final = 0.25


@dataclass(frozen=True, slots=True)
class Day:
    """One day's verdicts: allows below, blocks on top."""

    shape: StackedBar
    title: str


@dataclass(frozen=True, slots=True)
class Throughput:
    """The verdicts by day."""

    days: tuple[Day, ...]
    #: The maximum of a day, and the sum.
    most: int
    total: int
    first: str
    last: str


@dataclass(frozen=True, slots=True)
class Person:
    """The number of verdicts of one person."""

    name: str
    allow: int
    block: int
    #: Widths in the bar, together at most BAR.
    allow_width: float
    block_width: float

    @property
    def total(self) -> int:
        """Return the number of verdicts."""
        return self.allow + self.block


def throughput(counts: Iterable[DayCount], now: datetime, days: int) -> Throughput:
    """Return the plot of the last days; days without verdicts are included."""
    sums = Counter[tuple[str, Action]]()
    for one in counts:
        sums[one.day, one.action] += one.count
    names = [f"{now - timedelta(days=back):%Y-%m-%d}" for back in range(days - 1, -1, -1)]
    pairs = [(sums[name, Action.ALLOW], sums[name, Action.BLOCK]) for name in names]
    most = max((allow + block for allow, block in pairs), default=0)
    slot = WIDTH / days
    return Throughput(
        tuple(
            _day(n * slot, slot, name, allow, block, max(1, most))
            for n, (name, (allow, block)) in enumerate(zip(names, pairs, strict=True))
        ),
        most,
        sum(map(sum, pairs)),
        names[0],
        names[-1],
    )


def people(counts: Sequence[DayCount]) -> list[Person]:
    """Return the number of verdicts of each person, the most first."""
    sums = Counter[tuple[str, Action]]()
    for one in counts:
        sums[one.reviewer, one.action] += one.count
    totals = Counter[str]()
    for (name, _), count in sums.items():
        totals[name] += count
    most = max(totals.values(), default=1)
    found = []
    for name, _ in sorted(totals.items(), key=lambda pair: (-pair[1], pair[0])):
        allow, block = sums[name, Action.ALLOW], sums[name, Action.BLOCK]
        found.append(Person(name, allow, block, round(BAR * allow / most, 1), round(BAR * block / most, 1)))
    return found


def mix(counts: Iterable[DayCount]) -> tuple[int, int]:
    """Return the numbers of allow and block verdicts."""
    sums = Counter[Action]()
    for one in counts:
        sums[one.action] += one.count
    return sums[Action.ALLOW], sums[Action.BLOCK]


def width(share: float | None) -> float:
    """Return the width of a bar of this share; 0 if the share is None or negative."""
    return round(BAR * max(0.0, share or 0.0), 1)


def _day(x: float, slot: float, name: str, allow: int, block: int, most: int) -> Day:  # noqa: PLR0913, PLR0917 - a bar is what all of these make it
    margin = slot * _GAP / 2
    return Day(
        StackedBar.of(allow, block, most=most, height=HEIGHT, x=x + margin, width=slot * (1 - _GAP)),
        title=f"{name}: {allow:,} allowed, {block:,} blocked",
    )
