"""Comparison of two policies on the same pictures: what would change, counted."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.domain.evaluation.backtest import ALLOW, Codes, Flags, PolicyOutcome, Scores
from worker.domain.policies.policy import Policy

#: Bins of a histogram of scores, over 0 to 1.
BINS: Final = 50
SECONDS_A_DAY: Final = 86_400
_FIRST_DAY: Final = date(1970, 1, 1)


@dataclass(slots=True)
class PolicyAgreement:
    """A policy's predictions compared with people's verdicts, on the pictures that have a verdict."""

    #: Pictures that the policy flags, that people flag, and that both flag.
    predicted: int = 0
    actual: int = 0
    correct: int = 0

    @property
    def precision(self) -> float | None:
        """The share of the policy's flags that are correct; None if it flags nothing."""
        return self.correct / self.predicted if self.predicted else None

    @property
    def recall(self) -> float | None:
        """The share of people's flags that the policy finds; None if they flag nothing."""
        return self.correct / self.actual if self.actual else None

    def add(self, predicted: Flags, actual: Flags) -> None:
        """Count pictures."""
        self.predicted += int(np.count_nonzero(predicted))
        self.actual += int(np.count_nonzero(actual))
        self.correct += int(np.count_nonzero(predicted & actual))


@dataclass(slots=True)
class LabelTally:
    """The changes of one label, counted."""

    name: str
    #: Of the pictures: flagged before, after, before only and after only.
    before: int = 0
    after: int = 0
    lost: int = 0
    gained: int = 0
    #: Histograms of the scores, with `BINS` bins over 0 to 1; None if the policy has no such label.
    old_scores: NDArray[np.int64] | None = None
    new_scores: NDArray[np.int64] | None = None
    old_agreement: PolicyAgreement = field(default_factory=PolicyAgreement)
    new_agreement: PolicyAgreement = field(default_factory=PolicyAgreement)

    @property
    def agreements(self) -> tuple[PolicyAgreement, PolicyAgreement]:
        """The old policy's and the new one's, empty if a policy has no such label.

        The new one's is also empty for a new label that no verdict names: reviewers cannot have been asked
        about it.
        """
        is_old, is_named = self.old_scores is not None, self.new_agreement.actual > 0
        is_judged = self.new_scores is not None and (is_old or is_named)
        old = self.old_agreement if is_old else PolicyAgreement()
        return old, self.new_agreement if is_judged else PolicyAgreement()


@dataclass(slots=True)
class Tally:
    """The changes between two policies, counted; its size does not depend on the archive's."""

    labels: list[LabelTally]
    pictures: int = 0
    #: Pictures whose action or flagged labels change.
    changed: int = 0
    #: Pictures by old action (row) and new action (column), as in `ACTIONS`.
    moves: NDArray[np.int64] = field(default_factory=lambda: np.zeros((3, 3), np.int64))
    #: By day since 1970 in UTC: the counts of each old action, then of each new one.
    days: dict[int, NDArray[np.int64]] = field(default_factory=dict)
    #: When the first and the last picture were decided, in seconds since 1970 in UTC.
    first_at: float = math.inf
    last_at: float = -math.inf
    #: Pictures with a verdict, and how far not allowing them agrees with people blocking them.
    verdicts: int = 0
    old_agreement: PolicyAgreement = field(default_factory=PolicyAgreement)
    new_agreement: PolicyAgreement = field(default_factory=PolicyAgreement)

    @classmethod
    def of(cls, old: Policy, new: Policy) -> "Tally":
        """Return an empty tally with the labels of both policies, the old one's first."""
        return cls([LabelTally(name) for name in dict.fromkeys(_names(old) + _names(new))])

    def add(self, change: "Change", decided_at: NDArray[np.float64]) -> None:
        """Count pictures; `decided_at` in seconds since 1970 in UTC."""
        old, new = change.old_actions, change.new_actions
        self.pictures += len(old)
        self.changed += int(np.count_nonzero(change.changed))
        self.moves += np.bincount(old * np.uint8(3) + new, minlength=9).reshape(3, 3)
        self._add_days(old, new, decided_at)
        for row, label in enumerate(self.labels):
            before, after = change.old_flagged[row], change.new_flagged[row]
            label.before += int(np.count_nonzero(before))
            label.after += int(np.count_nonzero(after))
            label.lost += int(np.count_nonzero(before & ~after))
            label.gained += int(np.count_nonzero(after & ~before))
            label.old_scores = _added(label.old_scores, change.old_scores.get(label.name))
            label.new_scores = _added(label.new_scores, change.new_scores.get(label.name))

    def add_verdicts(self, change: "Change", pictures: NDArray[np.intp], blocked: Flags, true: Flags) -> None:
        """Count how far both policies agree with people's verdicts about some of the pictures.

        `pictures` are columns of `change`. `blocked`, shape (pictures,), says whether people block each;
        `true`, shape (labels, pictures), says whether a label applies.
        """
        self.verdicts += len(pictures)
        self.old_agreement.add(change.old_actions[pictures] != ALLOW, blocked)
        self.new_agreement.add(change.new_actions[pictures] != ALLOW, blocked)
        for row, label in enumerate(self.labels):
            label.old_agreement.add(change.old_flagged[row, pictures], true[row])
            label.new_agreement.add(change.new_flagged[row, pictures], true[row])

    @property
    def days_spanned(self) -> float:
        """The days between the first and the last picture, at least 1."""
        return max(1.0, (self.last_at - self.first_at) / SECONDS_A_DAY)

    def _add_days(self, old: Codes, new: Codes, decided_at: NDArray[np.float64]) -> None:
        self.first_at = min(self.first_at, float(decided_at.min(initial=math.inf)))
        self.last_at = max(self.last_at, float(decided_at.max(initial=-math.inf)))
        days = (decided_at // SECONDS_A_DAY).astype(np.int64)
        for day in np.unique(days).tolist():
            at = days == day
            counts = np.concatenate((np.bincount(old[at], minlength=3), np.bincount(new[at], minlength=3)))
            self.days[day] = self.days.get(day, 0) + counts


@dataclass(frozen=True, slots=True)
class Change:
    """Two policies' decisions on the same pictures; arrays have a column for each picture."""

    old_actions: Codes
    new_actions: Codes
    #: A row for each label of either policy, the old one's first; False if a policy has no such label.
    old_flagged: Flags
    new_flagged: Flags
    #: By label, shape (pictures,).
    old_scores: dict[str, Scores]
    new_scores: dict[str, Scores]

    @classmethod
    def between(cls, old: tuple[Policy, PolicyOutcome], new: tuple[Policy, PolicyOutcome]) -> "Change":
        """Pair the outcomes of two policies on the same pictures."""
        names = list(dict.fromkeys(_names(old[0]) + _names(new[0])))
        return cls(
            old_actions=old[1].actions,
            new_actions=new[1].actions,
            old_flagged=_flags(names, *old),
            new_flagged=_flags(names, *new),
            old_scores=dict(zip(_names(old[0]), old[1].scores, strict=True)),
            new_scores=dict(zip(_names(new[0]), new[1].scores, strict=True)),
        )

    @property
    def changed(self) -> Flags:
        """Whether a picture's action or flagged labels change, shape (pictures,)."""
        changed: Flags = (self.old_actions != self.new_actions) | (self.old_flagged ^ self.new_flagged).any(
            axis=0
        )
        return changed

    def sizes(self, pictures: NDArray[np.intp]) -> Scores:
        """Return the size of each change: steps between actions, then the largest move of a flipped score."""
        steps = np.abs(self.old_actions[pictures].astype(float) - self.new_actions[pictures])
        flipped = (self.old_flagged ^ self.new_flagged)[:, pictures]
        largest = np.zeros(len(pictures))
        for row, name in enumerate(dict.fromkeys([*self.old_scores, *self.new_scores])):
            move = np.abs(_column(self.old_scores, name, pictures) - _column(self.new_scores, name, pictures))
            largest = np.maximum(largest, np.where(flipped[row], move, 0.0))
        return 2 * steps + largest


def days_of(tally: Tally) -> Iterator[tuple[date, NDArray[np.int64]]]:
    """Yield every day from the first to the last with its counts, quiet days too."""
    nothing = np.zeros(6, np.int64)
    for day in range(min(tally.days, default=0), max(tally.days, default=-1) + 1):
        yield _FIRST_DAY + timedelta(days=day), tally.days.get(day, nothing)


def _names(policy: Policy) -> list[str]:
    return [label.name for label in policy.labels]


def _flags(names: list[str], policy: Policy, judged: PolicyOutcome) -> Flags:
    flags = np.zeros((len(names), judged.flagged.shape[1]), np.bool_)
    flags[[names.index(name) for name in _names(policy)]] = judged.flagged
    return flags


def _column(scores: dict[str, Scores], name: str, pictures: NDArray[np.intp]) -> Scores:
    return scores[name][pictures] if name in scores else np.zeros(len(pictures))


def _added(histogram: NDArray[np.int64] | None, scores: Scores | None) -> NDArray[np.int64] | None:
    if scores is None:
        return histogram
    bins = np.minimum((scores * BINS).astype(np.intp), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    return counts if histogram is None else histogram + counts
