"""The scoring rule: how strongly a picture shows each label of a policy.

Each label is compared with the policy's background only, so labels never compete: adding, removing or
renaming a label changes no other score, and if a picture shows none of them, no label has to win. A softmax
over the labels has neither property and is for ranking only (`rank_labels`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.domain.moderation.view import FIRST, View, Views
from worker.domain.policies.policy import Policy

Vector = NDArray[np.float32]
Matrix = NDArray[np.float32]

#: If a policy has more labels, a decision keeps the flagged ones and the highest scores up to this number:
#: a thousand rows for each picture would cost more than judging it.
MOST_SCORES: Final = 50


@dataclass(frozen=True, slots=True)
class LabelScore:
    """How strongly a picture shows one label, and which two phrases decided it."""

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

    @property
    def margin(self) -> float:
        """The cosine of the label's best prompt minus that of the best background phrase."""
        return self.prompt_cosine - self.background_cosine


@dataclass(frozen=True, slots=True)
class PhraseVectors:
    """The unit vectors of phrases: `matrix[index[phrase]]`, shape (phrases, dimension)."""

    index: Mapping[str, int]
    matrix: Matrix

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
    """Score every label of `policy` on one picture, in the policy's order; see `Scorer`."""
    return Scorer(policy, vectors)(embedding, scale, views)


class Scorer:
    """Scores pictures under one policy; prepares once what does not depend on the picture."""

    def __init__(self, policy: Policy, vectors: PhraseVectors) -> None:
        self._policy, self._vectors = policy, vectors
        self._background = [vectors.index[phrase] for phrase in policy.background]
        self._prompts = _Groups([label.prompts for label in policy.labels], vectors.index)
        with_lookalikes = [n for n, label in enumerate(policy.labels) if label.lookalikes]
        self._with_lookalikes = np.array(with_lookalikes, np.intp)
        self._lookalikes = _Groups([policy.labels[n].lookalikes for n in with_lookalikes], vectors.index)
        self._thresholds = np.array([label.review for label in policy.labels])

    def __call__(
        self, embedding: Matrix, scale: float, views: Views | None = None, *, most: int | None = None
    ) -> tuple[LabelScore, ...]:
        """Return the scores of the labels, in the policy's order.

        `embedding` holds one unit vector a view, shape (views, dimension); `views` says what each shows, by
        default a frame. `scale` is the model's factor on cosines (CLIP's `logit_scale.exp()`). A label's
        score is `sigmoid(scale * (best prompt cosine - best background cosine))`, the largest over the views:
        a two-way comparison, one label against the background. The model's bias cancels out in it.

        With `most`, only the labels at or above their `review`, and the `most` highest ones, are returned.
        ValueError if a vector is not finite.
        """
        cosines = self._vectors.cosines(embedding)
        if not np.isfinite(cosines).all():
            # NaN reaches no threshold: a broken model would allow everything.
            raise ValueError("the embedding of the picture or of a phrase is not finite")
        margins = self._prompts.best(cosines) - self._others(cosines)
        strongest = margins.argmax(axis=0)
        found = sigmoid(scale * margins[strongest, np.arange(len(strongest))].astype(np.float64))
        views, shown_in = views or Views(frames=len(embedding)), strongest.tolist()
        return tuple(
            self._label_score(
                number, float(found[number]), views[shown_in[number]], cosines[shown_in[number]]
            )
            for number in self._chosen(found, most)
        )

    def _others(self, cosines: Matrix) -> Matrix:
        """Return the best background or lookalike cosine of each label, shape (views, labels)."""
        best = cosines[:, self._background].max(axis=1, keepdims=True)
        others = np.repeat(best, len(self._policy.labels), axis=1)
        if len(self._with_lookalikes):
            lookalikes = self._lookalikes.best(cosines)
            others[:, self._with_lookalikes] = np.maximum(others[:, self._with_lookalikes], lookalikes)
        return others

    def _chosen(self, scores: NDArray[np.float64], most: int | None) -> Sequence[int]:
        if most is None or len(scores) <= most:
            return range(len(scores))
        # Stable: of equal scores, the first in the policy is returned.
        highest = np.argsort(-scores, kind="stable")[:most]
        flagged = np.flatnonzero(scores >= self._thresholds)
        chosen: list[int] = np.union1d(highest, flagged).tolist()
        return chosen

    def _label_score(self, number: int, score: float, view: View, cosines: Vector) -> LabelScore:
        label = self._policy.labels[number]
        others = self._policy.background + label.lookalikes
        prompt, prompt_cosine = self._nearest(label.prompts, cosines)
        other, other_cosine = self._nearest(others, cosines)
        return LabelScore(
            label=label.name,
            score=score,
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
    """The phrases of some labels, each with at least one, as columns of a matrix of cosines."""

    def __init__(self, groups: Sequence[Sequence[str]], index: Mapping[str, int]) -> None:
        self._columns = np.array([index[phrase] for group in groups for phrase in group], np.intp)
        self._firsts = np.cumsum([0, *map(len, groups)])[:-1]

    def best(self, cosines: Matrix) -> Matrix:
        """Return the largest cosine within each group, shape (views, groups)."""
        if not len(self._firsts):
            return np.empty((len(cosines), 0), np.float32)
        best: Matrix = np.maximum.reduceat(cosines[:, self._columns], self._firsts, axis=1)
        return best


def sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 / (1 + exp(-x)) of each number, without overflow for large negative ones."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


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
