"""Batches the pictures of concurrent callers for one pass through the model (dynamic batching)."""

from collections.abc import Callable, Sequence

import numpy as np

from worker.concurrency.batching import Batcher
from worker.domain.moderation.scoring import Matrix, Vector
from worker.encoder.protocol import Encoder
from worker.images.preprocessing import Pixels


class BatchingEncoder:
    """Wraps an encoder: `encode_images` calls that arrive while all passes are busy form the next batches.

    So do calls of `encode_captions`.

    Several passes run concurrently, each in its thread with its threads of computation. Two passes with one
    processor each are faster than one pass with both: neither waits for the other's half of a layer, nor for
    a processor that a decoder uses.
    """

    def __init__(
        self,
        encoder: Encoder,
        batch_size: int,
        observe: Callable[[int], None] = lambda _pictures: None,
        *,
        passes: int = 1,
    ) -> None:
        """Run `passes` passes at once, each of up to `batch_size` pictures; `observe` gets a batch's size."""
        self.info = encoder.info
        self._encoder = encoder
        self._observe = observe
        self._batcher: Batcher[Pixels, Vector] = Batcher(
            self._pass, most=batch_size, threads=passes, name="the model"
        )
        # One thread: the text tower processes one batch at a time.
        self._captions: Batcher[str, Vector] = Batcher(
            lambda texts: list(encoder.encode_captions(texts)), most=batch_size, name="the text tower"
        )

    def encode_images(self, images: Sequence[Pixels]) -> Matrix:
        """Return unit vectors, shape (images, dimension); UnavailableError if closed."""
        vectors = self._batcher(images)
        return np.stack(vectors) if vectors else np.empty((0, self.info.dimension), np.float32)

    def encode_texts(self, texts: Sequence[str]) -> Matrix:
        """Return unit vectors of phrases, shape (texts, dimension); in the caller's thread."""
        return self._encoder.encode_texts(texts)

    def encode_captions(self, texts: Sequence[str]) -> Matrix:
        """Return unit vectors of submissions' texts, shape (texts, dimension); UnavailableError if closed."""
        vectors = self._captions(texts)
        return np.stack(vectors) if vectors else np.empty((0, self.info.dimension), np.float32)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return how many tokens each text has; in the caller's thread."""
        return self._encoder.count_tokens(texts)

    def pieces(self, texts: Sequence[str]) -> list[list[str]]:
        """Return the tokens of each text as strings; in the caller's thread."""
        return self._encoder.pieces(texts)

    def vocabulary(self) -> frozenset[str]:
        """Return the words that are a single token."""
        return self._encoder.vocabulary()

    def close(self) -> None:
        """Finish the running passes; callers waiting for the next ones get UnavailableError."""
        self._batcher.close()
        self._captions.close()

    def _pass(self, images: Sequence[Pixels]) -> list[Vector]:
        self._observe(len(images))
        return list(self._encoder.encode_images(images))
