"""Chooses which frames of an animation are judged, by display time and appearance instead of by number."""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.images.decoding.sketch import Sketch, differences, nearly_the_same

#: Frames that are compared with all others; fewer in long animations, to bound the comparisons.
_MAX_CANDIDATES: Final = 64
_MAX_COMPARISONS: Final = 200_000
#: Digits of a share; further ones would be rounding errors of its sum.
_DIGITS: Final = 12


@dataclass(frozen=True, slots=True)
class Sample:
    """The frames of an animation that are judged."""

    #: Indices, ascending.
    frames: tuple[int, ...]
    #: Share of the display time of these and of frames nearly identical to one of them.
    time_share: float = 1.0


def frame_seed(key: bytes, data: bytes) -> bytes:
    """Return HMAC-SHA256 of the picture's SHA-256, so that the same picture always has the same frames.

    The decoding child gets only the seed of its picture: the key would reveal the seeds of all others.
    """
    return hmac.digest(key, hashlib.sha256(data).digest(), "sha256")


def choose(
    times: NDArray[np.float64], sketches: Sketch, required: Sequence[int], most: int, seed: bytes
) -> Sample:
    """Choose at most `most` frames: the `required`, those displayed longest, and others drawn by `seed`.

    `times` is how long each frame is displayed, shape (frames,). A frame displayed for at least 1 / `most`
    of the time is always chosen, whatever it looks like. Then one of each group of nearly identical frames
    that are displayed this long together, unless one is chosen already. The rest is drawn alternately
    by time, which similarity cannot mislead, and by time and squared difference from the chosen frames
    (k-means++, Arthur and Vassilvitskii 2007), which prefers new content. An uploader cannot predict the
    draws without the secret behind the seed.
    """
    selection = _Selection(times, sketches, Random(seed))
    for frame in _always(times, required, most):
        selection.add(frame)
    while len(selection.chosen) < most and selection.add_longest(1 / most):
        pass
    by_time = True
    while len(selection.chosen) < most and selection.add_at_random(by_time=by_time):
        by_time = not by_time
    return Sample(tuple(sorted(selection.chosen)), selection.time_share)


def _always(times: NDArray[np.float64], required: Sequence[int], most: int) -> tuple[int, ...]:
    """Return what is chosen first: the first frame, those displayed longest, the others `required`."""
    longest = np.argsort(-times, kind="stable")[: most - 1 or 1]
    long = [int(frame) for frame in longest if times[frame] * most >= times.sum()]
    frames = tuple(dict.fromkeys((*required[:1], *long, *required[1:])))
    return frames[: max(most - 1, len(long) + 1) if most > 1 else 1]


class _Selection:
    """The frames chosen so far."""

    def __init__(self, times: NDArray[np.float64], sketches: Sketch, random: Random) -> None:
        self.chosen: set[int] = set()
        self._shares = times / times.sum()
        # Not numpy's generator: its draws may change between versions.
        self._sketches, self._random = sketches, random
        self._differences = np.full(len(times), np.inf, np.float32)
        self._candidates = self._draw_candidates()

    @property
    def time_share(self) -> float:
        return min(1.0, round(float(self._shares[self._covered].sum()), _DIGITS))

    @property
    def _covered(self) -> NDArray[np.bool_]:
        return nearly_the_same(self._differences)

    def add(self, frame: int) -> None:
        self.chosen.add(frame)
        np.minimum(self._differences, differences(self._sketches, frame), out=self._differences)

    def add_longest(self, least_share: float) -> bool:
        """Add the frame that covers most of the uncovered time; False if that is less than `least_share`."""
        uncovered = self._shares * ~self._covered
        gains = {frame: float(uncovered[alike].sum()) for frame, alike in self._candidates.items()}
        frame = max(gains, key=gains.__getitem__)
        if gains[frame] < least_share:
            return False
        self.add(frame)
        return True

    def add_at_random(self, *, by_time: bool) -> bool:
        """Add a random frame; False if every other frame is identical to a chosen one."""
        weights = self._shares * np.minimum(self._differences, 255.0).astype(np.float64) ** 2
        if not weights.any():
            return False
        if by_time:
            weights = self._shares.copy()
            weights[list(self.chosen)] = 0
        self.add(self._draw(weights))
        return True

    def _draw(self, weights: NDArray[np.float64]) -> int:
        """Draw a frame with probability proportional to its weight."""
        sums = np.cumsum(weights)
        return int(np.searchsorted(sums, self._random.random() * sums[-1], side="right"))

    def _draw_candidates(self) -> dict[int, NDArray[np.bool_]]:
        """Return frames that may cover much time, each with a mask of the frames nearly identical to it."""
        count = len(self._shares)
        most = min(_MAX_CANDIDATES, count, max(1, _MAX_COMPARISONS // count))
        longest = np.argsort(-self._shares, kind="stable")[: most // 2 + 1]
        drawn = [self._draw(self._shares) for _ in range(most)]
        return {
            int(frame): nearly_the_same(differences(self._sketches, int(frame)))
            for frame in (*longest, *drawn)
        }
