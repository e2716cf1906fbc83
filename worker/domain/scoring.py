"""The scoring rule: how strongly a picture shows each label of a policy.

Each label is compared with the policy's background and with nothing else, so labels never compete:
adding, removing or renaming one changes no other score, and on a picture that shows none of them none
has to win. A softmax over the labels breaks both and is for ranking only (`rank_labels`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from worker.domain.policy import Label, Policy

Vector = NDArray[np.float32]
Matrix = NDArray[np.float32]


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
    #: Which frame of an animated picture this is about; 0 for a still one.
    frame: int = 0
    #: Whether it shows on a black page and not so clearly on a white one; only transparent pictures differ.
    on_black: bool = False

    @property
    def margin(self) -> float:
        """By how much cosine the label's best prompt beat the best of the background."""
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
        """Return the cosine of every frame with every phrase, shape (frames, phrases)."""
        return embedding @ self.matrix.T


def sigmoid(x: float) -> float:
    """Return 1 / (1 + exp(-x)) without overflow for large negative x."""
    if x >= 0:
        return float(1 / (1 + np.exp(-x)))
    e = np.exp(x)
    return float(e / (1 + e))


def score(
    policy: Policy, embedding: Matrix, vectors: PhraseVectors, scale: float, frames: int | None = None
) -> tuple[LabelScore, ...]:
    """Score every label of `policy`, in the policy's order.

    `embedding` holds one unit vector a frame, shape (frames, dimension), or twice as many: all `frames` on
    a white page, then all on a black one. `scale` is the model's own factor on cosines (CLIP's
    `logit_scale.exp()`). A label's score is
    `sigmoid(scale * (best prompt cosine - best background cosine))`, the largest over the frames: a
    two-way comparison, one label against the background. The model's bias cancels out in it. ValueError
    where a vector is not finite.
    """
    cosines = vectors.cosines(embedding)
    if not np.isfinite(cosines).all():
        # NaN reaches no threshold: a model gone wrong would allow everything.
        raise ValueError("the embedding of the picture or of a phrase is not finite")
    frames = frames or len(embedding)
    scores = (_score_label(label, policy.background, cosines, vectors, scale) for label in policy.labels)
    return tuple(replace(s, frame=s.frame % frames, on_black=s.frame >= frames) for s in scores)


def _score_label(
    label: Label, background: tuple[str, ...], cosines: Matrix, vectors: PhraseVectors, scale: float
) -> LabelScore:
    prompts, others = label.prompts, background + label.lookalikes
    prompt_cosines = cosines[:, [vectors.index[phrase] for phrase in prompts]]
    other_cosines = cosines[:, [vectors.index[phrase] for phrase in others]]
    margins = prompt_cosines.max(axis=1) - other_cosines.max(axis=1)
    view = int(margins.argmax())
    best_prompt = int(prompt_cosines[view].argmax())
    best_other = int(other_cosines[view].argmax())
    return LabelScore(
        label=label.name,
        score=sigmoid(scale * float(margins[view])),
        prompt=prompts[best_prompt],
        prompt_cosine=float(prompt_cosines[view, best_prompt]),
        background=others[best_other],
        background_cosine=float(other_cosines[view, best_other]),
        frame=view,
    )


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
    """Return each label's own probability, shape (labels,), for models trained on pairs; no sum is fixed.

    As in Zhai et al. 2023, "Sigmoid Loss for Language Image Pre-Training". Shapes as in `rank_labels`.
    """
    logits = scale * (labels @ embedding).astype(np.float64) + bias
    return np.array([sigmoid(logit) for logit in logits], dtype=np.float32)
