"""The interface of encoders, which map pictures and phrases to unit vectors in one space."""

from collections.abc import Sequence
from typing import Protocol

from worker.domain.moderation.scoring import Matrix
from worker.images.preprocessing import Pixels, Preprocessing


class Encoder(Protocol):
    """A zero-shot model's two towers. Safe to call from many threads."""

    @property
    def name(self) -> str:
        """What the operator configured: `demo`, a folder or a hub id."""

    @property
    def digest(self) -> str:
        """SHA-256 that changes with the weights or the preprocessing."""

    @property
    def precision(self) -> str:
        """Number format in which pictures are encoded: `float32` or `bfloat16`."""

    @property
    def scale(self) -> float:
        """The model's factor on cosines."""

    @property
    def bias(self) -> float:
        """What the model adds to scaled cosines (SigLIP's `logit_bias`); 0 if it has no bias."""

    @property
    def pairwise(self) -> bool:
        """Whether the model was trained on pairs (SigLIP), so that each label has its own sigmoid."""

    @property
    def dimension(self) -> int:
        """Length of a vector."""

    @property
    def window(self) -> int:
        """How many tokens of a phrase the text tower reads, special tokens included; the rest is cut off."""

    @property
    def preprocessing(self) -> Preprocessing:
        """How a picture becomes the pixels that `encode_images` takes."""

    def encode_images(self, images: Sequence[Pixels]) -> Matrix:
        """Return unit vectors of pictures prepared by `preprocessing`, shape (images, dimension), float32."""

    def encode_texts(self, texts: Sequence[str]) -> Matrix:
        """Return unit vectors of phrases, shape (texts, dimension), float32."""

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return how many tokens each text has, special tokens included, before anything is cut off."""

    def pieces(self, texts: Sequence[str]) -> list[list[str]]:
        """Return the tokens of each text as strings (pieces), without special tokens.

        A piece is empty if it stands for no readable text: an unknown word, part of a character.
        """

    def vocabulary(self) -> frozenset[str]:
        """Return the words that are one piece; empty if the pieces do not say where words end."""
