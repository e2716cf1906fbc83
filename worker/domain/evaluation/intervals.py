"""Confidence intervals of shares that were counted: precision, recall, false-positive rate."""

from dataclasses import dataclass
from typing import Final

# Not `scipy.stats`, which takes a second to import.
from scipy.special import betaincinv

#: The confidence of every interval that is shown, unless it says otherwise.
CONFIDENCE: Final = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """A share from 0 to 1, and the bounds between which it lies with some confidence."""

    #: None if nothing was counted: then the bounds are 0 and 1.
    share: float | None
    low: float
    high: float

    @property
    def is_known(self) -> bool:
        """Whether anything was counted."""
        return self.share is not None


#: The interval of a share of which nothing is known.
UNKNOWN: Final = Interval(None, 0.0, 1.0)


def clopper_pearson(hits: int, trials: int, confidence: float = CONFIDENCE) -> Interval:
    """Return the exact two-sided interval of a share of which `hits` of `trials` were counted.

    As in Clopper and Pearson 1934, "The Use of Confidence or Fiducial Limits Illustrated in the Case of the
    Binomial": each bound is missed with at most half of 1 - `confidence`. UNKNOWN without trials; ValueError
    if `hits` is not between 0 and `trials`.
    """
    _check(hits, trials)
    if not trials:
        return UNKNOWN
    tail = (1 - confidence) / 2
    return Interval(hits / trials, _low(hits, trials, tail), _high(hits, trials, tail))


def lower_bound(hits: int, trials: int, confidence: float) -> float:
    """Return the one-sided bound that the share exceeds with `confidence`; 0 without trials."""
    _check(hits, trials)
    return _low(hits, trials, 1 - confidence)


def upper_bound(hits: int, trials: int, confidence: float) -> float:
    """Return the one-sided bound that the share is below with `confidence`; 1 without trials."""
    _check(hits, trials)
    return _high(hits, trials, 1 - confidence)


def _low(hits: int, trials: int, tail: float) -> float:
    return float(betaincinv(hits, trials - hits + 1, tail)) if hits else 0.0


def _high(hits: int, trials: int, tail: float) -> float:
    return float(betaincinv(hits + 1, trials - hits, 1 - tail)) if hits < trials else 1.0


def _check(hits: int, trials: int) -> None:
    if not 0 <= hits <= trials:
        raise ValueError(f"{hits} of {trials} is not a share")
