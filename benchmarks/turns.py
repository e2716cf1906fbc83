"""Measure ways of judging pictures by turns, round after round: median, minimum and maximum."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pictures import Supply
from rich.console import Console
from rich.progress import track
from rich.table import Table

#: Pictures of the first turn, which loads everything and is not counted.
FIRST = 4
#: Most pictures of the second turn, which estimates how fast a way is.
SECOND = 128


@dataclass(frozen=True)
class Way:
    """A way of judging the pictures in some files."""

    judge: Callable[[Sequence[Path]], object]
    #: Least pictures in a turn: fewer would not fill its batches.
    least: int = 64


@dataclass(frozen=True)
class Rounds:
    """Length of the measurement."""

    rounds: int
    #: Pictures in a turn, or fewer if a slow way needs more than `seconds` for them.
    pictures: int
    seconds: float = 6.0

    def measure(self, ways: Mapping[str, Way], supply: Supply) -> dict[str, dict[str, Any]]:
        """Return the summary of pictures a second of each way."""
        sizes: dict[str, int] = {}
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for turn in track(range(-2, self.rounds), description="measuring", console=Console(stderr=True)):
            for name, way in ways.items():
                number = sizes.get(name, FIRST if turn == -2 else min(way.least, self.pictures, SECOND))
                rate = timed(way, supply, number)
                if turn == -1:
                    sizes[name] = self._size(way, rate)
                elif turn >= 0:
                    rates[name].append(rate)
        return {name: summary(found) | {"pictures in a turn": sizes[name]} for name, found in rates.items()}

    def _size(self, way: Way, rate: float) -> int:
        return max(min(way.least, self.pictures), min(self.pictures, round(rate * self.seconds)))


def timed(way: Way, supply: Supply, number: int) -> float:
    """Return pictures a second of one turn; the files are written before the clock starts."""
    with supply.new(number) as files:
        started = time.perf_counter()
        way.judge(files)
        return number / (time.perf_counter() - started)


def summary(found: Sequence[float]) -> dict[str, float]:
    """Return median, minimum and maximum of the rounds."""
    return {"median": statistics.median(found), "least": min(found), "most": max(found)}


def table(figures: Mapping[str, Mapping[str, float]], unit: str, **beside: str) -> Table:
    """Return the figures as a table; `beside` adds columns with the ratio to another way's figure."""
    made = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    made.add_column("", no_wrap=True)
    for column in (unit, "least", "most", *beside):
        made.add_column(column.replace("_", " "), justify="right")
    for name, one in figures.items():
        shares = [one["median"] / figures[other]["median"] for other in beside.values()]
        made.add_row(
            name, *(_number(figure) for figure in (one["median"], one["least"], one["most"], *shares))
        )
    return made


def _number(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 1000 else f"{figure:.2f}"
