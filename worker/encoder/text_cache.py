"""Caches the vectors of phrases, so that none is encoded twice."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Final, Protocol

import numpy as np

from worker.domain.moderation.scoring import Matrix, Vector
from worker.encoder.protocol import Encoder
from worker.images.preprocessing import Pixels

#: At 768 numbers a vector this is 200 MB; a large policy has some thousands of texts.
DEFAULT_CAPACITY: Final = 65_536
#: Captions of about the submissions in flight.
CAPTION_CAPACITY: Final = 1024


class VectorStore(Protocol):
    """A persistent cache of vectors."""

    def recall(self, texts: Sequence[str]) -> Mapping[str, Vector]:
        """Return the cached vectors of these texts."""

    def keep(self, vectors: Mapping[str, Vector]) -> None:
        """Store the vectors of texts."""


class TextCache:
    """Wraps an encoder with a cache of text vectors; the least recently used are evicted first."""

    def __init__(
        self, encoder: Encoder, capacity: int = DEFAULT_CAPACITY, memory: VectorStore | None = None
    ) -> None:
        """Cache up to `capacity` vectors in this process, and all of them in `memory`."""
        self.info = encoder.info
        self._encoder = encoder
        self._capacity = capacity
        self._memory = memory
        self._vectors: OrderedDict[str, Vector] = OrderedDict()
        # Held while encoding too: a thread that needs the same phrases waits for these vectors.
        self._lock = Lock()
        self._captions: OrderedDict[str, Vector] = OrderedDict()
        self._captions_lock = Lock()

    def encode_images(self, images: Sequence[Pixels]) -> Matrix:
        """Return unit vectors of prepared pictures, shape (images, dimension); not cached."""
        return self._encoder.encode_images(images)

    def encode_texts(self, texts: Sequence[str]) -> Matrix:
        """Return unit vectors of phrases, shape (texts, dimension); unknown ones are encoded in one call."""
        with self._lock:
            known = {text: self._vectors[text] for text in texts if text in self._vectors}
            unknown = list(dict.fromkeys(text for text in texts if text not in known))
            if unknown:
                known |= self._recalled_or_encoded(unknown)
            self._keep(known)
        rows = [known[text] for text in texts]
        return np.stack(rows) if rows else np.empty((0, self.info.dimension), np.float32)

    def encode_captions(self, texts: Sequence[str]) -> Matrix:
        """Return unit vectors of submissions' texts, shape (texts, dimension).

        The last ones are cached in memory, since shadows judge by the same text; none is stored.
        """
        with self._captions_lock:
            known = {text: self._captions[text] for text in texts if text in self._captions}
        if unknown := list(dict.fromkeys(text for text in texts if text not in known)):
            # Without the lock: callers share a batch.
            encoded = self._encoder.encode_captions(unknown)
            known |= {text: row.copy() for text, row in zip(unknown, encoded, strict=True)}
        with self._captions_lock:
            _use(self._captions, known, CAPTION_CAPACITY)
        rows = [known[text] for text in texts]
        return np.stack(rows) if rows else np.empty((0, self.info.dimension), np.float32)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return how many tokens each text has; not cached, since counting is cheap."""
        return self._encoder.count_tokens(texts)

    def pieces(self, texts: Sequence[str]) -> list[list[str]]:
        """Return the tokens of each text as strings; not cached."""
        return self._encoder.pieces(texts)

    def vocabulary(self) -> frozenset[str]:
        """Return the words that are a single token."""
        return self._encoder.vocabulary()

    def _recalled_or_encoded(self, texts: Sequence[str]) -> dict[str, Vector]:
        known = dict(self._memory.recall(texts)) if self._memory else {}
        if unknown := [text for text in texts if text not in known]:
            encoded = dict(zip(unknown, self._encoder.encode_texts(unknown), strict=True))
            if self._memory:
                self._memory.keep(encoded)
            known |= encoded
        return known

    def _keep(self, used: dict[str, Vector]) -> None:
        # A copy: a view would keep its whole batch in memory.
        new = {text: vector.copy() for text, vector in used.items() if text not in self._vectors}
        _use(self._vectors, used | new, self._capacity)


def _use(cache: OrderedDict[str, Vector], used: Mapping[str, Vector], capacity: int) -> None:
    """Add what was used to a cache, and evict what was not used for the longest time."""
    for text, vector in used.items():
        cache.setdefault(text, vector)
        cache.move_to_end(text)
    while len(cache) > capacity:
        cache.popitem(last=False)
