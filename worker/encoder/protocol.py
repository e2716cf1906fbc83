"""The interface of encoders, which map pictures and phrases to unit vectors in one space."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from worker.domain.moderation.scoring import Matrix
from worker.images.preprocessing import Pixels, Preprocessing


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What scoring, storing and preparing need to know of a loaded model."""

    #: What the operator configured: `demo`, a folder or a hub id.
    name: str
    #: SHA-256 that changes with the weights or the preprocessing.
    digest: str
    #: The numbers that pictures are encoded in: `float32`, `bfloat16` or `int8`.
    precision: str
    #: The model's factor on cosines.
    scale: float
    #: What the model adds to scaled cosines (SigLIP's `logit_bias`); 0 if it has none.
    bias: float
    #: Whether the model was trained on pairs (SigLIP), so that each label has its own sigmoid.
    pairwise: bool
    #: Length of a vector.
    dimension: int
    #: Tokens of a phrase that the text tower reads, special tokens included; the rest is truncated.
    window: int
    #: How a picture becomes the pixels that `encode_images` takes.
    preprocessing: Preprocessing


class Encoder(Protocol):
    """A zero-shot model's two towers. Safe to call from many threads."""

    @property
    def info(self) -> ModelInfo:
        """What is known of the model, however it is wrapped."""

    def encode_images(self, images: Sequence[Pixels]) -> Matrix:
        """Return unit vectors of pictures prepared by `preprocessing`, shape (images, dimension), float32."""

    def encode_texts(self, texts: Sequence[str]) -> Matrix:
        """Return unit vectors of phrases, shape (texts, dimension), float32."""

    def encode_captions(self, texts: Sequence[str]) -> Matrix:
        """Return unit vectors of the texts of submissions, shape (texts, dimension), float32.

        As `encode_texts`, but nothing is stored: these are personal data, and hardly one is seen again.
        """

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return how many tokens each text has, special tokens included, before anything is cut off."""

    def pieces(self, texts: Sequence[str]) -> list[list[str]]:
        """Return the tokens of each text as strings (pieces), without special tokens.

        A piece is empty if it stands for no readable text: an unknown word, part of a character.
        """

    def vocabulary(self) -> frozenset[str]:
        """Return the words that are one piece; empty if the pieces do not say where words end."""
