"""Lets callers in many threads share one pass through the model."""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import accumulate
from threading import Condition, Thread

import numpy as np

from worker.domain.scoring import Matrix
from worker.encoder.protocol import Encoder
from worker.errors import UnavailableError
from worker.images.preprocessing import Pixels


@dataclass(frozen=True, slots=True)
class _Call:
    """Pictures that somebody waits for: at most one batch."""

    images: Sequence[Pixels]
    vectors: "Future[Matrix]" = field(default_factory=Future)


class Batcher:
    """An encoder before another, whose `encode_images` calls are gathered while the model is busy.

    There is no timer: an idle model starts with the first call at once, and what arrives meanwhile makes
    the next batch. As every caller waits, no more is ever held than the callers hold themselves.
    """

    def __init__(
        self, encoder: Encoder, batch_size: int, observe: Callable[[int], None] = lambda _pictures: None
    ) -> None:
        """Gather up to `batch_size` pictures; `observe` is told how many each pass has."""
        self.name, self.digest, self.dimension = encoder.name, encoder.digest, encoder.dimension
        self.scale, self.bias, self.pairwise = encoder.scale, encoder.bias, encoder.pairwise
        self.window = encoder.window
        self.preprocessing = encoder.preprocessing
        self._encoder = encoder
        self._batch_size = batch_size
        self._observe = observe
        self._waiting: deque[_Call] = deque()
        self._changed = Condition()
        self._closed = False
        self._thread = Thread(target=self._run, name="encoder", daemon=True)
        self._thread.start()

    def encode_images(self, images: Sequence[Pixels]) -> Matrix:
        """Return unit vectors, shape (images, dimension); UnavailableError once closed."""
        starts = range(0, len(images), self._batch_size)
        calls = [_Call(images[start : start + self._batch_size]) for start in starts]
        with self._changed:
            if self._closed:
                raise _closed()
            self._waiting.extend(calls)
            self._changed.notify()
        return np.concatenate(
            [np.empty((0, self.dimension), np.float32), *(call.vectors.result() for call in calls)]
        )

    def encode_texts(self, texts: Sequence[str]) -> Matrix:
        """Return unit vectors of phrases, shape (texts, dimension); in the caller's thread."""
        return self._encoder.encode_texts(texts)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return how many tokens each text has; in the caller's thread."""
        return self._encoder.count_tokens(texts)

    def close(self) -> None:
        """Finish the pass under way and turn away whoever waits for the next one."""
        with self._changed:
            self._closed = True
            abandoned = list(self._waiting)
            self._waiting.clear()
            self._changed.notify()
        for call in abandoned:
            call.vectors.set_exception(_closed())
        self._thread.join()

    def _run(self) -> None:
        while self._run_pass():
            pass

    def _run_pass(self) -> bool:
        """Encode what waits, as much as one batch holds; False when there will be no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            batch = self._take()
        if batch:
            self._encode(batch)
        return bool(batch)

    def _take(self) -> list[_Call]:
        batch: list[_Call] = []
        room = self._batch_size
        while self._waiting and len(self._waiting[0].images) <= room:
            batch.append(self._waiting.popleft())
            room -= len(batch[-1].images)
        return batch

    def _encode(self, batch: Sequence[_Call]) -> None:
        images = [image for call in batch for image in call.images]
        self._observe(len(images))
        try:
            vectors = self._encoder.encode_images(images)
        except Exception as problem:  # noqa: BLE001 - it is raised again where the caller waits
            self._fail(batch, problem)
            return
        ends = list(accumulate(len(call.images) for call in batch))
        for call, rows in zip(batch, np.split(vectors, ends[:-1]), strict=True):
            call.vectors.set_result(rows)

    def _fail(self, batch: Sequence[_Call], problem: Exception) -> None:
        """Halve a failed batch until the culprit stands alone: the failure meets only its own caller."""
        if len(batch) == 1:
            batch[0].vectors.set_exception(problem)
            return
        middle = len(batch) // 2
        self._encode(batch[:middle])
        self._encode(batch[middle:])


def _closed() -> UnavailableError:
    return UnavailableError("the model is being shut down", hint="try again with another worker")
