"""Backtest: judges many stored embeddings at once under several policies.

The rule is that of `scoring.score` and `decision.decide`, vectorised: one matrix product serves all phrases
of all policies, and labels are decided for a thousand pictures at a time. Those two explain the decision on
a single picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.domain.moderation.additions import capped
from worker.domain.moderation.scoring import Adjust, Logits, Matrix, PhraseVectors, Vector, own_lookalikes
from worker.domain.policies.policy import Action, Label, Policy, Scoring

#: Actions as numbers, mildest first.
ACTIONS: Final = tuple(Action)
ALLOW, REVIEW, BLOCK = range(3)
#: Rows widened and multiplied at once: 2 MiB of float32 at 512 dimensions stay in the cache.
_BLOCK_ROWS: Final = 1024
#: Larger than any cosine, even after unit vectors were rounded to float16.
_NO_COSINE: Final = 2.0

Scores = NDArray[np.float64]
Flags = NDArray[np.bool_]
Codes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class PolicyOutcome:
    """One policy's decisions on many pictures; every array has a column for each picture."""

    #: A row for each label of the policy, in its order; float64 from 0 to 1.
    scores: Scores
    #: Whether each label reached its threshold.
    flagged: Flags
    #: Indices into `ACTIONS`, shape (pictures,).
    actions: Codes


@dataclass(frozen=True, slots=True)
class _Contest:
    """A label's prompts against its background, as rows of the phrases' matrix, and the rule."""

    prompts: tuple[int, ...]
    background: tuple[int, ...]
    lookalikes: tuple[int, ...]
    scoring: Scoring


class Backtest:
    """Judges pictures by their embeddings under several policies at once."""

    def __init__(
        self,
        policies: Sequence[tuple[Policy, PhraseVectors]],
        scale: float,
        learned: Sequence[Adjust | None] = (),
    ) -> None:
        """Judge by the policies with the vectors of their phrases, and by what each of them `learned`."""
        self.policies = tuple(policy for policy, _ in policies)
        self._scale, self._learned = scale, learned or [None] * len(policies)
        # A phrase's vector depends on the templates. Vectors and contests that policies share are kept once.
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
        """The number of phrase vectors that each picture is compared with."""
        return len(self._phrases)

    def judge(
        self,
        vectors: NDArray[np.float16],
        views: NDArray[np.intp],
        partly_seen: Flags | None = None,
        additions: Sequence[Logits | None] = (),
    ) -> list[PolicyOutcome]:
        """Judge pictures under each policy.

        `vectors` holds one unit vector a view, float16, shape (sum of `views`, dimension); `views`, at
        least 1 each, is the number of its rows that belong to each picture, shape (pictures,). `partly_seen`
        marks pictures of which too little was judged; None marks none. `additions` holds what texts add under
        each policy, shape (labels, pictures), or None; leave it out if there are no texts. ValueError if a
        vector is not finite or not a unit vector.
        """
        by_view, outcomes = self._by_view(vectors), []
        if partly_seen is None:
            partly_seen = np.zeros(len(views), np.bool_)
        added = additions or [None] * len(self.policies)
        pairs = zip(self.policies, self._rows_of, self._learned, added, strict=True)
        for policy, rows, adjust, texts in pairs:
            in_views = by_view[rows]
            if adjust:
                in_views = _adjusted(in_views, vectors, adjust, self._scale)
            logits = _of_pictures(in_views, views)
            alone = _sigmoid(logits)
            scores = _with_text(policy, logits, alone, texts)
            outcomes.append(_decide(policy, alone, scores, partly_seen))
        return outcomes

    def logits(self, vectors: NDArray[np.float16], views: NDArray[np.intp]) -> Logits:
        """Return the largest logit of each distinct label over the views, shape (labels, pictures).

        By phrases alone. Labels with the same phrases share a row, in the order of their first mention.
        Arguments and errors as in `judge`.
        """
        return _of_pictures(self._by_view(vectors), views)

    def _by_view(self, vectors: NDArray[np.float16]) -> Logits:
        """Return the logit of each distinct label in each view, shape (labels, views)."""
        logits = np.empty((len(self._contests), len(vectors)))
        for start in range(0, len(vectors), _BLOCK_ROWS):
            rows = vectors[start : start + _BLOCK_ROWS]
            cosines = self._phrases @ widened(rows).T
            if not (cosines.max() < _NO_COSINE and cosines.min() > -_NO_COSINE):
                raise ValueError(
                    "the embedding of a picture or of a phrase is not finite, or not a unit vector"
                )
            self._add_logits(cosines, logits[:, start : start + len(rows)])
        return logits

    def _add_logits(self, cosines: Matrix, logits: Logits) -> None:
        """Write the logit of each contest in each view into `logits`."""
        joined = {
            rule: _Joined(rule, cosines, self._scale)
            for rule in {contest.scoring for contest in self._contests}
        }
        for contest, logit in zip(self._contests, logits, strict=True):
            join = joined[contest.scoring]
            np.subtract(join(contest.prompts), join(contest.background, contest.lookalikes), out=logit)


def _adjusted(logits: Logits, vectors: NDArray[np.float16], adjust: Adjust, scale: float) -> Logits:
    """Return the logits of a policy's labels in the light of what it learned, shape (labels, views)."""
    adjusted = np.empty_like(logits)
    for start in range(0, len(vectors), _BLOCK_ROWS):
        block = slice(start, start + _BLOCK_ROWS)
        adjusted[:, block] = adjust(logits[:, block].T, widened(vectors[block]), scale).T
    return adjusted


def _of_pictures(logits: Logits, views: NDArray[np.intp]) -> Logits:
    """Return the largest logit over the views of each picture, shape (labels, pictures)."""
    if len(views) == logits.shape[1]:
        return logits
    firsts = np.concatenate(([0], np.cumsum(views)[:-1]))
    return np.maximum.reduceat(logits, firsts, axis=1)


def widened(vectors: NDArray[np.float16]) -> Matrix:
    """Convert finite float16 to float32 exactly; five times as fast as numpy's conversion.

    The bits of sign, exponent and fraction move to their places, and a product corrects the exponent's bias,
    also for subnormal numbers.
    """
    bits = vectors.view(np.int16).astype(np.int32)
    np.left_shift(bits, 13, out=bits)
    np.bitwise_and(bits, np.int32(-0x7000_2000), out=bits)
    values = bits.view(np.float32)
    np.multiply(values, np.float32(2.0**112), out=values)
    return values


def _contest(policy: Policy, label: Label, index: dict[str, int]) -> _Contest:
    def rows(phrases: tuple[str, ...]) -> tuple[int, ...]:
        return tuple(index[phrase] for phrase in dict.fromkeys(phrases))

    lookalikes = own_lookalikes(policy, label)
    return _Contest(rows(label.prompts), rows(policy.background), rows(lookalikes), policy.scoring)


class _Joined:
    """Joins the similarities of groups of phrases with the pictures of one block, by one scoring rule."""

    def __init__(self, scoring: Scoring, cosines: Matrix, scale: float) -> None:
        """Take `cosines` of shape (phrases, pictures)."""
        self._is_sum = scoring is Scoring.TOGETHER
        self._add: np.ufunc = np.add if self._is_sum else np.maximum
        self._similarities = scale * cosines.astype(np.float64)
        self._values = self._similarities
        if self._is_sum:
            # Relative to the picture's nearest phrase, so that nothing overflows; it cancels out in a logit.
            self._similarities -= self._similarities.max(axis=0)
            self._values = np.exp(self._similarities)
        self._known: dict[tuple[int, ...], Logits] = {}

    def __call__(self, rows: tuple[int, ...], more: tuple[int, ...] = ()) -> Logits:
        """Return what some phrases amount to together, shape (pictures,); `rows` is remembered."""
        if rows not in self._known:
            self._known[rows] = self._total(rows)
        total: Logits = self._known[rows]
        for row in more:
            total = self._add(total, self._values[row])
        if not self._is_sum:
            return total
        if not total.all():
            # Only with a scale above 350, which no trained model has: all these phrases vanish beside others.
            exact: Logits = np.logaddexp.reduce(self._similarities[[*rows, *more]], axis=0)
            return exact
        return np.log(total)

    def _total(self, rows: tuple[int, ...]) -> Logits:
        total: Logits = self._values[rows[0]].copy()
        for row in rows[1:]:
            self._add(total, self._values[row], out=total)
        return total


def _with_text(policy: Policy, logits: Logits, alone: Scores, added: Logits | None) -> Scores:
    return alone if added is None else capped(alone, _sigmoid(logits + added), _blocks(policy))


def _blocks(policy: Policy) -> Scores:
    return _column([np.inf if label.block is None else label.block for label in policy.labels])


def _column(values: list[float]) -> Scores:
    return np.array(values, np.float64)[:, None]


def _decide(policy: Policy, alone: Scores, scores: Scores, partly_seen: Flags) -> PolicyOutcome:
    """Decide by the scores; `alone` are those of the pictures without their texts."""
    reviews, blocks = _column([label.review for label in policy.labels]), _blocks(policy)
    flagged = scores >= reviews
    excludes = _column([float(label.exclude_from_automatic_block) for label in policy.labels]) > 0
    by_scores = np.where((flagged & (scores >= blocks)).any(axis=0), BLOCK, REVIEW * flagged.any(axis=0))
    at_least = np.where(partly_seen, ACTIONS.index(policy.on_partly_seen), ALLOW)
    # Only the picture can keep itself from being blocked at once, not its text.
    at_most = np.where(((alone >= reviews) & excludes).any(axis=0), REVIEW, BLOCK)
    actions = np.minimum(np.maximum(by_scores, at_least), at_most).astype(np.uint8)
    return PolicyOutcome(scores, flagged, actions)


def _sigmoid(x: Scores) -> Scores:
    """Return 1 / (1 + exp(-x)), as `scoring.sigmoid`; x is clipped at -700, which is practically 0."""
    return 1 / (1 + np.exp(-np.maximum(x, -700.0)))
