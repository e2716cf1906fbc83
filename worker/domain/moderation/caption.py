"""What a picture's text adds to its labels' scores: it may only add, never clear.

A caption is cheap to write and often empty of content, or false. It therefore adds at most as much as its
likeness to a label exceeds its likeness to harmless phrases, damped, and a fixed amount for a word that the
label names. benchmarks/captions.py measures both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.domain.moderation.additions import Additions
from worker.domain.moderation.scoring import Matrix, PhraseVectors, Vector
from worker.domain.moderation.words import Tokens, Words
from worker.domain.policies.policy import Label, Policy

#: How much of the text's own logit counts. Larger shares lose if captions lie.
MEANING_SHARE: Final = 0.25


@dataclass(frozen=True, slots=True)
class Caption:
    """The text that accompanies a picture, and its unit vector, shape (dimension,)."""

    text: str
    vector: Vector


class CaptionRule:
    """Computes what texts add under one policy; prepares once what does not depend on the text."""

    def __init__(self, policy: Policy, vectors: PhraseVectors) -> None:
        """Use the vectors of the policy's phrases, and of its neutral captions."""
        if vectors.captions is None:
            raise ValueError("the vectors of the neutral captions are missing")
        self._vectors, self._neutral = vectors, vectors.captions
        self._words = [Words(label.words) for label in policy.labels]
        self._prompts = [self._rows(label.prompts) for label in policy.labels]
        self._harmless = [self._rows(policy.background + label.lookalikes) for label in policy.labels]

    def __call__(self, caption: Caption, scale: float) -> Additions:
        """Return what a caption adds to each label; `scale` is the model's factor on cosines.

        ValueError if its vector is not finite.
        """
        (additions,) = self.of_many([caption], scale)
        return additions

    def of_many(self, captions: Sequence[Caption], scale: float) -> list[Additions]:
        """Return what each of several captions adds, at least one; as for one."""
        meaning = self._meaning(np.stack([caption.vector for caption in captions]), scale)
        return [self._additions(caption.text, row) for caption, row in zip(captions, meaning, strict=True)]

    def _additions(self, text: str, meaning: NDArray[np.float64]) -> Additions:
        tokens = Tokens.of(text)
        # "..." says nothing, and a model gives it a vector all the same.
        meant = meaning if tokens.tokens else np.zeros_like(meaning)
        return Additions(meant, tuple(words.first_in(tokens) for words in self._words))

    def _meaning(self, captions: Matrix, scale: float) -> NDArray[np.float64]:
        """Return what the meaning of captions adds, shape (captions, labels); `captions` are unit vectors.

        That is a share of `scale * (best prompt cosine - best harmless cosine)` if that is positive. Neutral
        captions are harmless phrases for texts alone: most captions are nearer to each other than to any
        name of a thing.
        """
        cosines = self._vectors.cosines(captions)
        neutral = np.vecdot(captions[:, None], self._neutral[None]).max(axis=1, initial=-1.0)
        if not (np.isfinite(cosines).all() and np.isfinite(neutral).all()):
            raise ValueError("the embedding of the text or of a phrase is not finite")
        margins = [
            cosines[:, prompts].max(axis=1) - np.maximum(cosines[:, harmless].max(axis=1), neutral)
            for prompts, harmless in zip(self._prompts, self._harmless, strict=True)
        ]
        stacked = np.stack(margins, axis=1).astype(np.float64) if margins else np.empty((len(captions), 0))
        meaning: NDArray[np.float64] = MEANING_SHARE * np.maximum(scale * stacked, 0.0)
        return meaning

    def _rows(self, phrases: tuple[str, ...]) -> list[int]:
        return [self._vectors.index[phrase] for phrase in phrases]


def words_of(labels: tuple[Label, ...]) -> Words:
    """Return the words of all these labels, to mark them in a text."""
    return Words(word for label in labels for word in label.words)
