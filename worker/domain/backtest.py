"""The backtest: many stored embeddings judged at once under several policies, and what would have changed.

The rule is that of `scoring.score` and `decision.decide`; here one matrix product serves all phrases of all
policies, and labels are decided for a thousand pictures at a time. How a single picture came to its
decision, those two say.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.domain.policy import Action, Label, Policy
from worker.domain.scoring import Matrix, PhraseVectors, Vector

#: Actions as numbers, mildest first.
ACTIONS: Final = tuple(Action)
_ALLOW, _REVIEW, _BLOCK = range(3)
#: Of a histogram of scores, over 0 to 1.
BINS: Final = 50
SECONDS_A_DAY: Final = 86_400
#: Rows that are widened and multiplied at once: 2 MiB of float32 at 512 numbers a vector stay in the cache.
_BLOCK_ROWS: Final = 1024
#: No cosine; room for rounding of unit vectors to float16.
_NO_COSINE: Final = 2.0

Scores = NDArray[np.float64]
Flags = NDArray[np.bool_]
Codes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Judged:
    """What one policy makes of many pictures; every array has a column for each picture."""

    #: A row for each label of the policy, in its order; float64 from 0 to 1.
    scores: Scores
    #: Whether each label reached its threshold.
    flagged: Flags
    #: Indices into `ACTIONS`, shape (pictures,).
    actions: Codes


@dataclass(frozen=True, slots=True)
class _Contest:
    """A label's prompts against its background, as rows of the phrases' matrix."""

    prompts: tuple[int, ...]
    background: tuple[int, ...]
    lookalikes: tuple[int, ...]


class Backtest:
    """Judges pictures by their embeddings under several policies at once."""

    def __init__(self, policies: Sequence[tuple[Policy, PhraseVectors]], scale: float) -> None:
        self.policies = tuple(policy for policy, _ in policies)
        self._scale = scale
        # A phrase has another vector under other templates; what both policies share is computed once.
        rows: dict[tuple[str, tuple[str, ...]], int] = {}
        vectors: list[Vector] = []
        contests: dict[_Contest, int] = {}
        self._rows_of: list[list[int]] = []
        for policy, own in policies:
            for phrase in policy.phrases():
                if rows.setdefault((phrase, policy.templates), len(rows)) == len(vectors):
                    vectors.append(own.matrix[own.index[phrase]])
            index = {
                phrase: row for (phrase, templates), row in rows.items() if templates == policy.templates
            }
            numbered = [
                contests.setdefault(_contest(policy, label, index), len(contests)) for label in policy.labels
            ]
            self._rows_of.append(numbered)
        self._contests = tuple(contests)
        self._phrases = np.stack(vectors).astype(np.float32) if vectors else np.empty((0, 0), np.float32)

    @property
    def phrase_count(self) -> int:
        """How many vectors every picture is compared with."""
        return len(self._phrases)

    def judge(self, vectors: NDArray[np.float16], views: NDArray[np.intp]) -> list[Judged]:
        """Judge pictures under each policy.

        `vectors` holds one unit vector a view, float16, shape (sum of `views`, dimension); `views`, at
        least 1 each, says how many of its rows belong to each picture, shape (pictures,). ValueError where
        a vector is not finite or no unit vector.
        """
        scores = _sigmoid(self._scale * self.margins(vectors, views).astype(np.float64))
        pairs = zip(self.policies, self._rows_of, strict=True)
        return [_decide(policy, scores[rows]) for policy, rows in pairs]

    def margins(self, vectors: NDArray[np.float16], views: NDArray[np.intp]) -> Matrix:
        """Return by how much cosine each distinct label won at most in any view, shape (labels, pictures).

        Labels of the same phrases count once, in the order of their first mention. Arguments and errors as
        in `judge`.
        """
        margins = np.empty((len(self._contests), len(vectors)), np.float32)
        for start in range(0, len(vectors), _BLOCK_ROWS):
            rows = vectors[start : start + _BLOCK_ROWS]
            cosines = self._phrases @ widened(rows).T
            if not (cosines.max() < _NO_COSINE and cosines.min() > -_NO_COSINE):
                raise ValueError("the embedding of a picture or of a phrase is not finite, or no unit vector")
            self._play(cosines, margins[:, start : start + len(rows)])
        if len(views) == len(vectors):
            return margins
        firsts = np.concatenate(([0], np.cumsum(views)[:-1]))
        return np.maximum.reduceat(margins, firsts, axis=1)

    def _play(self, cosines: Matrix, margins: Matrix) -> None:
        backgrounds: dict[tuple[int, ...], Matrix] = {}
        for contest, margin in zip(self._contests, margins, strict=True):
            if contest.background not in backgrounds:
                backgrounds[contest.background] = _best(cosines, contest.background)
            others = _best(cosines, contest.lookalikes, backgrounds[contest.background])
            np.subtract(_best(cosines, contest.prompts), others, out=margin)


def widened(vectors: NDArray[np.float16]) -> Matrix:
    """Return finite float16 as float32, exactly; five times as fast as numpy's conversion.

    The bits of sign, exponent and fraction move to their places, and a product mends the exponent's bias,
    also of subnormal numbers.
    """
    bits = vectors.view(np.int16).astype(np.int32)
    np.left_shift(bits, 13, out=bits)
    np.bitwise_and(bits, np.int32(-0x7000_2000), out=bits)
    values = bits.view(np.float32)
    np.multiply(values, np.float32(2.0**112), out=values)
    return values


@dataclass(slots=True)
class Agreement:
    """How far a policy and people's verdicts agree about something, on the pictures that have a verdict."""

    #: What the policy says it is, what people say it is, and what both do.
    said: int = 0
    true: int = 0
    both: int = 0

    @property
    def precision(self) -> float | None:
        """The share of what the policy says that is true; None where it says nothing."""
        return self.both / self.said if self.said else None

    @property
    def recall(self) -> float | None:
        """The share of what is true that the policy says; None where nothing is."""
        return self.both / self.true if self.true else None

    def add(self, said: Flags, true: Flags) -> None:
        """Count pictures."""
        self.said += int(np.count_nonzero(said))
        self.true += int(np.count_nonzero(true))
        self.both += int(np.count_nonzero(said & true))


@dataclass(slots=True)
class LabelTally:
    """What became of one label."""

    name: str
    #: Of the pictures: flagged before, after, before only and after only.
    before: int = 0
    after: int = 0
    lost: int = 0
    gained: int = 0
    #: How many pictures had a score in each of `BINS` equal parts of 0 to 1; None where the policy has no
    #: such label.
    old_scores: NDArray[np.int64] | None = None
    new_scores: NDArray[np.int64] | None = None
    old_agreement: Agreement = field(default_factory=Agreement)
    new_agreement: Agreement = field(default_factory=Agreement)

    @property
    def agreements(self) -> tuple[Agreement, Agreement]:
        """The old policy's and the new one's, empty where a policy has no such label.

        So is the new one's of a new label that no verdict names: nobody can have been asked about it.
        """
        was, named = self.old_scores is not None, self.new_agreement.true > 0
        old = self.old_agreement if was else Agreement()
        return old, self.new_agreement if self.new_scores is not None and (was or named) else Agreement()


@dataclass(slots=True)
class Tally:
    """What would have changed between two policies, counted; its size does not depend on the archive."""

    labels: list[LabelTally]
    pictures: int = 0
    #: Pictures whose action or flagged labels change.
    changed: int = 0
    #: How many pictures went from each action (row) to each (column), as in `ACTIONS`.
    moves: NDArray[np.int64] = field(default_factory=lambda: np.zeros((3, 3), np.int64))
    #: By day since 1970 in UTC: how many of each old action, then of each new one.
    days: dict[int, NDArray[np.int64]] = field(default_factory=dict)
    #: When the first and the last picture were decided, in seconds since 1970 in UTC.
    first_at: float = math.inf
    last_at: float = -math.inf
    #: Pictures that people have answered about, and whether what is not allowed is what they block.
    verdicts: int = 0
    old_agreement: Agreement = field(default_factory=Agreement)
    new_agreement: Agreement = field(default_factory=Agreement)

    @classmethod
    def of(cls, old: Policy, new: Policy) -> "Tally":
        """Return an empty tally, with the labels of either policy: the old one's first."""
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
        """Compare with people's answers about some of the pictures.

        `pictures` are columns of `change`; `blocked`, one for each, says whether people block it, `true`
        with a row for each label whether it applies.
        """
        self.verdicts += len(pictures)
        self.old_agreement.add(change.old_actions[pictures] != _ALLOW, blocked)
        self.new_agreement.add(change.new_actions[pictures] != _ALLOW, blocked)
        for row, label in enumerate(self.labels):
            label.old_agreement.add(change.old_flagged[row, pictures], true[row])
            label.new_agreement.add(change.new_flagged[row, pictures], true[row])

    @property
    def days_spanned(self) -> float:
        """How many days lie between the first and the last picture, at least 1."""
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
    """Two policies' views of the same pictures, side by side; arrays have a column for each picture."""

    old_actions: Codes
    new_actions: Codes
    #: A row for each label of either policy, the old one's first; False where a policy has no such label.
    old_flagged: Flags
    new_flagged: Flags
    #: By label, shape (pictures,).
    old_scores: dict[str, Scores]
    new_scores: dict[str, Scores]

    @classmethod
    def between(cls, old: tuple[Policy, Judged], new: tuple[Policy, Judged]) -> "Change":
        """Pair what two policies make of the same pictures."""
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
        """Return how much changes: steps between actions first, then the largest move of a flipped score."""
        steps = np.abs(self.old_actions[pictures].astype(float) - self.new_actions[pictures])
        flipped = (self.old_flagged ^ self.new_flagged)[:, pictures]
        largest = np.zeros(len(pictures))
        for row, name in enumerate(dict.fromkeys([*self.old_scores, *self.new_scores])):
            move = np.abs(_column(self.old_scores, name, pictures) - _column(self.new_scores, name, pictures))
            largest = np.maximum(largest, np.where(flipped[row], move, 0.0))
        return 2 * steps + largest


def days_of(tally: Tally) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield every day from the first to the last with its counts, quiet days too."""
    nothing = np.zeros(6, np.int64)
    for day in range(min(tally.days, default=0), max(tally.days, default=-1) + 1):
        yield day, tally.days.get(day, nothing)


def _contest(policy: Policy, label: Label, index: dict[str, int]) -> _Contest:
    def rows(phrases: tuple[str, ...]) -> tuple[int, ...]:
        return tuple(index[phrase] for phrase in dict.fromkeys(phrases))

    return _Contest(rows(label.prompts), rows(policy.background), rows(label.lookalikes))


def _best(cosines: Matrix, rows: tuple[int, ...], so_far: Matrix | None = None) -> Matrix:
    """Return the largest of some rows, and of `so_far`, for each column."""
    if not rows and so_far is not None:
        return so_far
    first, *others = rows
    best: Matrix = cosines[first].copy() if so_far is None else np.maximum(so_far, cosines[first])
    for row in others:
        np.maximum(best, cosines[row], out=best)
    return best


def _decide(policy: Policy, scores: Scores) -> Judged:
    def thresholds(values: list[float]) -> Scores:
        return np.array(values, np.float64)[:, None]

    flagged = scores >= thresholds([label.review for label in policy.labels])
    blocks = thresholds([np.inf if label.block is None else label.block for label in policy.labels])
    excludes = thresholds([float(label.exclude_from_automatic_block) for label in policy.labels]) > 0
    blocked = (flagged & (scores >= blocks)).any(axis=0) & ~(flagged & excludes).any(axis=0)
    actions = np.where(blocked, _BLOCK, np.where(flagged.any(axis=0), _REVIEW, _ALLOW)).astype(np.uint8)
    return Judged(scores, flagged, actions)


def _sigmoid(x: Scores) -> Scores:
    """Return 1 / (1 + exp(-x)), as `scoring.sigmoid`; of x below -700 what is 0 for every purpose."""
    return 1 / (1 + np.exp(-np.maximum(x, -700.0)))


def _names(policy: Policy) -> list[str]:
    return [label.name for label in policy.labels]


def _flags(names: list[str], policy: Policy, judged: Judged) -> Flags:
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
