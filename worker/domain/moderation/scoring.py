"""The scoring rule: how strongly a picture shows each label of a policy.

Each label is compared with the policy's background only, so labels never compete: adding, removing or
renaming a label changes no other score, and if a picture shows none of them, no label has to win. A softmax
over the labels has neither property and is for ranking only (`rank_labels`).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.domain.moderation.additions import Additions, TextPart, capped, sigmoid
from worker.domain.moderation.view import FIRST, View, Views
from worker.domain.policies.policy import Label, Policy, Scoring

Vector = NDArray[np.float32]
Matrix = NDArray[np.float32]
#: Logits: log-odds of "the picture shows the label".
Logits = NDArray[np.float64]

#: A smaller change of a logit changes no score by more than 0.0125.
_WORTH_SAYING: Final = 0.05
#: Scores nearer to 0 or 1 have log-odds of this size.
_MOST_LOG_ODDS: Final = 700.0
#: How the scaled cosines of several phrases become one: `log(exp(a) + exp(b))`, or the larger one.
_JOINS: Final[Mapping[Scoring, np.ufunc]] = {Scoring.TOGETHER: np.logaddexp, Scoring.BEST: np.maximum}
#: Changes the logits of a policy's labels, shape (views, labels), given the embedding and the scale.
Adjust = Callable[[Logits, Matrix, float], Logits]

#: If a policy has more labels, a decision keeps the flagged ones and the highest scores up to this number:
#: a thousand rows for each picture would cost more than judging it.
MOST_SCORES: Final = 50


@dataclass(frozen=True, slots=True)
class LabelScore:
    """How strongly a picture shows one label, and the two phrases that did most for and against it."""

    label: str
    #: 0 to 1.
    score: float
    #: The prompt most like the picture and its cosine.
    prompt: str
    prompt_cosine: float
    #: The background phrase or lookalike most like the picture and its cosine.
    background: str
    background_cosine: float
    #: The view with the highest score.
    view: View = FIRST
    #: What the label learned from verdicts added to the logit of its phrases.
    learned: float = 0.0
    #: What the submission's text added; None if it added nothing.
    text: TextPart | None = None

    @property
    def margin(self) -> float:
        """The cosine of the label's best prompt minus that of the best background phrase."""
        return self.prompt_cosine - self.background_cosine

    @property
    def pair(self) -> str:
        """Name both phrases and which of them is nearer to the picture, for people."""
        return f'"{self.prompt}" {"beat" if self.margin >= 0 else "lost to"} "{self.background}"'

    @property
    def together(self) -> str:
        """Say for people that the side without the nearest phrase won; empty if it did not.

        All phrases count, those of the label together and the harmless ones together.
        """
        won = _log_odds(self.alone) - self.learned >= 0
        if won == (self.margin >= 0):
            return ""
        return f", but {'all its prompts' if won else 'all harmless phrases'} together won"

    @property
    def alone(self) -> float:
        """The score of the picture without its text."""
        return self.text.alone if self.text else self.score

    @property
    def contest(self) -> str:
        """Say for people how the phrases compare, in which view, and what else counted."""
        learned = f"; what it learned adds {self.learned:+.1f}" if abs(self.learned) >= _WORTH_SAYING else ""
        text = f"; {self.text}" if self.text else ""
        return f"{self.pair} by {abs(self.margin):.3f}{self.view}{self.together}{learned}{text}"


@dataclass(frozen=True, slots=True)
class PhraseVectors:
    """The unit vectors of phrases: `matrix[index[phrase]]`, shape (phrases, dimension)."""

    index: Mapping[str, int]
    matrix: Matrix
    #: Of a policy's neutral captions, which only texts are compared with, shape (captions, dimension); None
    #: if the policy reads no texts.
    captions: Matrix | None = None

    @classmethod
    def of(cls, phrases: Sequence[str], matrix: Matrix) -> "PhraseVectors":
        """Pair phrases with the rows of `matrix`, in order."""
        if matrix.shape[0] != len(phrases):
            raise ValueError(f"{len(phrases)} phrases, but {matrix.shape[0]} vectors")
        return cls({phrase: row for row, phrase in enumerate(phrases)}, matrix)

    def cosines(self, embedding: Matrix) -> Matrix:
        """Return the cosine of every view with every phrase, shape (views, phrases)."""
        # Not a matrix product: BLAS threads would compete with the model's, and change the last bits.
        cosines: Matrix = np.vecdot(embedding[:, None], self.matrix[None])
        return cosines


def score(
    policy: Policy, embedding: Matrix, vectors: PhraseVectors, scale: float, views: Views | None = None
) -> tuple[LabelScore, ...]:
    """Score every label of `policy` by its phrases on one picture, in the policy's order; see `Scorer`."""
    return Scorer(policy, vectors)(embedding, scale, views)


class Scorer:
    """Scores pictures under one policy; prepares once what does not depend on the picture."""

    def __init__(self, policy: Policy, vectors: PhraseVectors, adjust: Adjust | None = None) -> None:
        """Score by the phrases alone, or let `adjust` change their logits by what was learned."""
        self.policy, self._vectors, self._adjust = policy, vectors, adjust
        self._background = [vectors.index[phrase] for phrase in dict.fromkeys(policy.background)]
        self._prompts = _Groups([label.prompts for label in policy.labels], vectors.index)
        lookalikes = [own_lookalikes(policy, label) for label in policy.labels]
        with_lookalikes = [n for n, phrases in enumerate(lookalikes) if phrases]
        self._with_lookalikes = np.array(with_lookalikes, np.intp)
        self._lookalikes = _Groups([lookalikes[n] for n in with_lookalikes], vectors.index)
        self._thresholds = np.array([label.review for label in policy.labels])
        self._blocks = np.array([np.inf if label.block is None else label.block for label in policy.labels])
        self._join = _JOINS[policy.scoring]

    def __call__(
        self,
        embedding: Matrix,
        scale: float,
        views: Views | None = None,
        *,
        most: int | None = None,
        additions: Additions | None = None,
    ) -> tuple[LabelScore, ...]:
        """Return the scores of the labels, in the policy's order.

        `embedding` holds one unit vector a view, shape (views, dimension); `views` says what each shows, by
        default a frame. `scale` is the model's factor on cosines (CLIP's `logit_scale.exp()`). A label's
        score is the largest over the views of `sigmoid(lse(prompts) - lse(background and lookalikes))`, with
        `lse(c) = log(sum(exp(scale * c)))` over the cosines of distinct phrases: the probability that a
        softmax over all these phrases gives to the prompts. The model's bias cancels out in it. Policies with
        `Scoring.BEST` use `scale * max(c)` in place of `lse(c)`.

        `additions` is what the picture's text adds to these logits; it lifts no score to the label's `block`.

        With `most`, only the labels at or above their `review`, and the `most` highest ones, are returned.
        ValueError if a vector is not finite.
        """
        cosines = self._vectors.cosines(embedding)
        if not np.isfinite(cosines).all():
            # NaN reaches no threshold: a broken model would allow everything.
            raise ValueError("the embedding of the picture or of a phrase is not finite")
        by_phrases = self._logits(scale * cosines.astype(np.float64))
        logits = self._adjust(by_phrases, embedding, scale) if self._adjust else by_phrases
        strongest = logits.argmax(axis=0)
        at_best = strongest, np.arange(len(strongest))
        best = logits[at_best]
        alone, learned = sigmoid(best), best - by_phrases[at_best]
        found = alone if additions is None else capped(alone, sigmoid(best + additions.logits), self._blocks)
        views, shown_in = views or Views(frames=len(embedding)), strongest.tolist()
        return tuple(
            replace(
                self._label_score(number, views[shown_in[number]], cosines[shown_in[number]]),
                score=float(found[number]),
                learned=float(learned[number]),
                text=additions.part(number, float(best[number]), float(self._blocks[number]))
                if additions
                else None,
            )
            for number in self._chosen(found, most)
        )

    def _logits(self, similarities: Logits) -> Logits:
        """Return each label's logit in each view, shape (views, labels).

        `similarities` are scaled cosines, shape (views, phrases).
        """
        background = self._join.reduce(similarities[:, self._background], axis=1)
        others = np.repeat(background[:, None], len(self.policy.labels), axis=1)
        if len(self._with_lookalikes):
            lookalikes = self._lookalikes.joined(similarities, self._join)
            others[:, self._with_lookalikes] = self._join(others[:, self._with_lookalikes], lookalikes)
        logits: Logits = self._prompts.joined(similarities, self._join) - others
        return logits

    def _chosen(self, scores: NDArray[np.float64], most: int | None) -> Sequence[int]:
        if most is None or len(scores) <= most:
            return range(len(scores))
        # Stable: of equal scores, the first in the policy is returned.
        highest = np.argsort(-scores, kind="stable")[:most]
        flagged = np.flatnonzero(scores >= self._thresholds)
        chosen: list[int] = np.union1d(highest, flagged).tolist()
        return chosen

    def _label_score(self, number: int, view: View, cosines: Vector) -> LabelScore:
        """Return the phrases that did most in a view, without the score."""
        label = self.policy.labels[number]
        others = self.policy.background + label.lookalikes
        prompt, prompt_cosine = self._nearest(label.prompts, cosines)
        other, other_cosine = self._nearest(others, cosines)
        return LabelScore(
            label=label.name,
            score=0.0,
            prompt=prompt,
            prompt_cosine=prompt_cosine,
            background=other,
            background_cosine=other_cosine,
            view=view,
        )

    def _nearest(self, phrases: Sequence[str], cosines: Vector) -> tuple[str, float]:
        """Return the phrase most like the picture and its cosine; the first one if several are equal."""
        own = cosines[[self._vectors.index[phrase] for phrase in phrases]]
        best = int(own.argmax())
        return phrases[best], float(own[best])


class _Groups:
    """The distinct phrases of some labels, each with at least one, as columns of a matrix of similarities."""

    def __init__(self, groups: Sequence[Sequence[str]], index: Mapping[str, int]) -> None:
        distinct = [tuple(dict.fromkeys(group)) for group in groups]
        self._columns = np.array([index[phrase] for group in distinct for phrase in group], np.intp)
        self._firsts = np.cumsum([0, *map(len, distinct)])[:-1]

    def joined(self, similarities: Logits, join: np.ufunc) -> Logits:
        """Return one similarity for each group, shape (views, groups)."""
        if not len(self._firsts):
            return np.empty((len(similarities), 0))
        joined: Logits = join.reduceat(similarities[:, self._columns], self._firsts, axis=1)
        return joined


def own_lookalikes(policy: Policy, label: Label) -> tuple[str, ...]:
    """Return a label's lookalikes that are not in the background too: every phrase counts once."""
    background = frozenset(policy.background)
    return tuple(phrase for phrase in dict.fromkeys(label.lookalikes) if phrase not in background)


def _log_odds(score: float) -> float:
    """Return the logit of a score, bounded."""
    if not 0 < score < 1:
        return _MOST_LOG_ODDS if score else -_MOST_LOG_ODDS
    return math.log(score) - math.log1p(-score)


def rank_labels(embedding: Vector, labels: Matrix, scale: float, bias: float = 0.0) -> Vector:
    """Return the classic zero-shot softmax over labels, shape (labels,), summing to 1.

    `embedding` is one unit vector, shape (dimension,); `labels` one a label, shape (labels, dimension).
    As in Radford et al. 2021, "Learning Transferable Visual Models From Natural Language Supervision".
    """
    logits = scale * (labels @ embedding).astype(np.float64) + bias
    weights = np.exp(logits - logits.max())
    probabilities: Vector = (weights / weights.sum()).astype(np.float32)
    return probabilities


def score_pairs(embedding: Vector, labels: Matrix, scale: float, bias: float = 0.0) -> Vector:
    """Return each label's independent probability, shape (labels,), for models trained on pairs.

    As in Zhai et al. 2023, "Sigmoid Loss for Language Image Pre-Training". Shapes as in `rank_labels`.
    """
    logits = scale * (labels @ embedding).astype(np.float64) + bias
    return sigmoid(logits).astype(np.float32)
