"""Lets callers in many threads share passes through the model."""

from collections.abc import Callable, Sequence

import numpy as np

from worker.concurrency.batching import Batcher
from worker.domain.moderation.scoring import Matrix, Vector
from worker.encoder.protocol import Encoder
from worker.images.preprocessing import Pixels


class BatchingEncoder:
    """An encoder before another, whose `encode_images` calls are gathered while all passes are busy.

    Several passes run at once, each in a thread of its own, which keeps its threads of computation: two with
    one processor each do more than one that has both, since neither waits for the other's half of a layer,
    nor stands still while a decoder has one of its processors.
    """

    def __init__(
        self,
        encoder: Encoder,
        batch_size: int,
        observe: Callable[[int], None] = lambda _pictures: None,
        *,
        passes: int = 1,
    ) -> None:
        """Gather up to `batch_size` pictures for a pass, of so many; `observe` is told how many it has."""
        self.name, self.digest, self.dimension = encoder.name, encoder.digest, encoder.dimension
        self.scale, self.bias, self.pairwise = encoder.scale, encoder.bias, encoder.pairwise
        self.precision, self.window = encoder.precision, encoder.window
        self.preprocessing = encoder.preprocessing
        self._encoder = encoder
        self._observe = observe
        self._batcher: Batcher[Pixels, Vector] = Batcher(
            self._pass, most=batch_size, threads=passes, name="the model"
        )

    def encode_images(self, images: Sequence[Pixels]) -> Matrix:
        """Return unit vectors, shape (images, dimension); UnavailableError once closed."""
        vectors = self._batcher(images)
        return np.stack(vectors) if vectors else np.empty((0, self.dimension), np.float32)

    def encode_texts(self, texts: Sequence[str]) -> Matrix:
        """Return unit vectors of phrases, shape (texts, dimension); in the caller's thread."""
        return self._encoder.encode_texts(texts)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return how many tokens each text has; in the caller's thread."""
        return self._encoder.count_tokens(texts)

    def pieces(self, texts: Sequence[str]) -> list[list[str]]:
        """Return the pieces in which the model reads each text; in the caller's thread."""
        return self._encoder.pieces(texts)

    def vocabulary(self) -> frozenset[str]:
        """Return the words that are one piece to the model."""
        return self._encoder.vocabulary()

    def close(self) -> None:
        """Finish the passes under way and turn away whoever waits for the next ones."""
        self._batcher.close()

    def _pass(self, images: Sequence[Pixels]) -> list[Vector]:
        self._observe(len(images))
        return list(self._encoder.encode_images(images))
