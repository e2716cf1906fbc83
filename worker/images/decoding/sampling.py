"""Chooses which frames of an animation are looked at, by what people see and not by number."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.images.decoding.sketch import Sketch, differences, nearly_the_same

#: Frames that are asked how much time looks like them; fewer in long animations, to bound the comparisons.
_MAX_CANDIDATES: Final = 64
_MAX_COMPARISONS: Final = 200_000
#: Of a share; more would be rounding errors of its sum.
_DIGITS: Final = 12


@dataclass(frozen=True, slots=True)
class Sample:
    """The frames of an animation that are looked at."""

    #: In order, from 0.
    frames: tuple[int, ...]
    #: Share of the display time of these and of those that look nearly the same as one of them.
    time_share: float = 1.0


def choose(
    times: NDArray[np.float64], sketches: Sketch, required: Sequence[int], most: int, seed: bytes
) -> Sample:
    """Choose at most `most` frames: the `required`, what is shown longest, and others drawn by `seed`.

    `times` says how long each frame is on the screen, shape (frames,). A frame that fills as much time as an
    average choice is always chosen, whatever it looks like; then a look that does, if no chosen frame looks
    nearly the same. The rest is drawn in turn by time alone, which no likeness misleads, and by time and
    squared difference from what was chosen before (k-means++, Arthur and Vassilvitskii 2007), which prefers
    what differs. No uploader can know the draws without the secret behind the seed.
    """
    drawing = _Drawing(times, sketches, Random(seed))
    for frame in _always(times, required, most):
        drawing.take(frame)
    while len(drawing.chosen) < most and drawing.take_longest(1 / most):
        pass
    by_time = True
    while len(drawing.chosen) < most and drawing.take_at_random(by_time=by_time):
        by_time = not by_time
    return Sample(tuple(sorted(drawing.chosen)), drawing.time_share)


def _always(times: NDArray[np.float64], required: Sequence[int], most: int) -> tuple[int, ...]:
    """Return what is chosen first: the first frame, those that are shown longest, the others `required`."""
    longest = np.argsort(-times, kind="stable")[: most - 1 or 1]
    long = [int(frame) for frame in longest if times[frame] * most >= times.sum()]
    frames = tuple(dict.fromkeys((*required[:1], *long, *required[1:])))
    return frames[: max(most - 1, len(long) + 1) if most > 1 else 1]


class _Drawing:
    """Frames that are chosen one after the other."""

    def __init__(self, times: NDArray[np.float64], sketches: Sketch, random: Random) -> None:
        self.chosen: set[int] = set()
        self._shares = times / times.sum()
        # Not numpy's generator: its draws may change from version to version.
        self._sketches, self._random = sketches, random
        self._differences = np.full(len(times), np.inf, np.float32)
        self._candidates = self._draw_candidates()

    @property
    def time_share(self) -> float:
        return min(1.0, round(float(self._shares[self._seen].sum()), _DIGITS))

    @property
    def _seen(self) -> NDArray[np.bool_]:
        return nearly_the_same(self._differences)

    def take(self, frame: int) -> None:
        self.chosen.add(frame)
        np.minimum(self._differences, differences(self._sketches, frame), out=self._differences)

    def take_longest(self, least_share: float) -> bool:
        """Take the frame whose look fills most of the time that is unseen; False if that is too little."""
        unseen = self._shares * ~self._seen
        gains = {frame: float(unseen[alike].sum()) for frame, alike in self._candidates.items()}
        frame = max(gains, key=gains.__getitem__)
        if gains[frame] < least_share:
            return False
        self.take(frame)
        return True

    def take_at_random(self, *, by_time: bool) -> bool:
        """Take a frame by lot; False if every other frame is the same as one that is chosen."""
        weights = self._shares * np.minimum(self._differences, 255.0).astype(np.float64) ** 2
        if not weights.any():
            return False
        if by_time:
            weights = self._shares.copy()
            weights[list(self.chosen)] = 0
        self.take(self._draw(weights))
        return True

    def _draw(self, weights: NDArray[np.float64]) -> int:
        """Return a frame, each with a probability in proportion to its weight."""
        sums = np.cumsum(weights)
        return int(np.searchsorted(sums, self._random.random() * sums[-1], side="right"))

    def _draw_candidates(self) -> dict[int, NDArray[np.bool_]]:
        """Return frames that may fill much time, and which frames look nearly the same as each."""
        count = len(self._shares)
        most = min(_MAX_CANDIDATES, count, max(1, _MAX_COMPARISONS // count))
        longest = np.argsort(-self._shares, kind="stable")[: most // 2 + 1]
        drawn = [self._draw(self._shares) for _ in range(most)]
        return {
            int(frame): nearly_the_same(differences(self._sketches, int(frame)))
            for frame in (*longest, *drawn)
        }
