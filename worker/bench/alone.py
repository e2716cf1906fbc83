"""Measures each part of the work in isolation: the tower, decoding, the score, the store."""

import os
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
from moderation_client import LocalFile, Submission, new_submission_id

from worker.bench.figures import Alone, TowerCost
from worker.bench.machine import cores
from worker.bench.pictures import SIZE, Pictures
from worker.bench.usage import read_tree
from worker.encoder.protocol import Encoder
from worker.images.preprocessing import Pixels
from worker.images.processes.pool import DecoderPool
from worker.stage.stage import Stage
from worker.usecases.moderation.judge_picture import JudgePicture
from worker.wiring.components import open_encoder
from worker.wiring.worker_service import Service

#: Batch sizes to try besides the configured one.
BATCH_SIZES: Final = (8, 16, 32)
#: Shares of the time: the tower in all batch sizes, the tower in the other precision, and the other parts.
_TOWERS, _OTHER_PRECISION, _DECODING, _STORE, _SCORE = 0.5, 0.2, 0.14, 0.12, 0.04

#: Progress callback; gets the name of the current measurement.
Tick = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class MeasureAlone:
    """Measure in this process, within about `seconds`."""

    stage: Stage
    pictures: Pictures
    seconds: float
    tick: Tick

    def parts(self, service: Service, decoder: DecoderPool) -> Alone:
        """Return the cost of each part per picture; `service` must accept the largest batch size."""
        decode = self._decoding(service.encoder, decoder)
        tower, *others = self._towers(service.encoder)
        score = self._score(service, decoder)
        return Alone(tower, tuple(others), decode, score, max(0.0, self._store(service) - score))

    def in_other_precision(self, alone: Alone, precision: str) -> Alone:
        """Add the cost of the tower under this setting, unless it results in the same precision."""
        size = alone.tower.batch_size
        changed = self.stage.settings.model_copy(update={"precision": precision, "batch_size": size})
        with open_encoder(changed) as encoder:
            if encoder.info.precision == alone.tower.precision:
                return alone
            self.tick(f"the tower in {encoder.info.precision}")
            costs = _interleaved(encoder, [size], self.seconds * _OTHER_PRECISION)
            other = TowerCost(encoder.info.precision, size, costs[size])
        return Alone(alone.tower, (*alone.other_towers, other), alone.decode, alone.score, alone.store)

    def _decoding(self, encoder: Encoder, decoder: DecoderPool) -> float:
        """Return the cost of decoding a picture while every decoder is busy."""
        self.tick("decoding")
        decoder.wait_until_ready()
        waiting = [self.pictures.next().data for _ in range(max(16, len(self.pictures.originals)))]
        decoders = min(cores(), decoder.processes)
        with ThreadPoolExecutor(2 * decoder.processes, "decoding") as threads:

            def decode_all() -> int:
                decoded = threads.map(lambda data: decoder.decode(data, encoder.info.preprocessing), waiting)
                return sum(1 for _ in decoded)

            decode_all()
            return _cost(decode_all, self.seconds * _DECODING, fallback_cores=decoders)

    def _towers(self, encoder: Encoder) -> list[TowerCost]:
        """Return the cost of the tower for each batch size, the configured one first."""
        settings = self.stage.settings
        self.tick("the tower")
        sizes = [settings.batch_size, *(size for size in BATCH_SIZES if size != settings.batch_size)]
        costs = _interleaved(encoder, sizes, self.seconds * _TOWERS)
        return [TowerCost(encoder.info.precision, size, cost) for size, cost in costs.items()]

    def _score(self, service: Service, decoder: DecoderPool) -> float:
        self.tick("the score")
        live = service.policies.current(self.stage.settings.policy)
        judge = JudgePicture(service.encoder, decoder)
        picture = judge.embed(self.pictures.next().data)

        def score() -> int:
            judge.judge(live, picture)
            return 1

        return _cost(score, self.seconds * _SCORE)

    def _store(self, service: Service) -> float:
        """Return the cost of a picture whose embedding is cached: claim, read, score and record."""
        self.tick("the store")
        original = self.pictures.next()
        file = self.stage.media / f"known{original.suffix}"
        file.write_bytes(original.data)

        def settle() -> int:
            service.settle([Submission(new_submission_id(), LocalFile(file.name))])
            return 1

        # The first one is decoded and encoded.
        settle()
        cost = _cost(settle, self.seconds * _STORE)
        file.unlink()
        return cost


def _interleaved(encoder: Encoder, sizes: Sequence[int], seconds: float) -> dict[int, float]:
    """Return core-milliseconds a picture by batch size: medians over rounds that interleave the sizes.

    The first size is always measured; another one is skipped if its passes would take too much of the time.
    """
    costs: dict[int, list[float]] = {size: [] for size in sizes}
    pixels = _noise(encoder, max(sizes))
    batches = {size: pixels[:size] for size in sizes}
    encoder.encode_images(batches[min(sizes)])
    began = time.perf_counter()
    slowest = 0.0
    while True:
        for size, batch in batches.items():
            if costs[sizes[0]] and slowest * size > seconds / len(sizes):
                continue
            started, used = time.perf_counter(), time.process_time()
            encoder.encode_images(batch)
            costs[size].append(1000 * (time.process_time() - used) / size)
            slowest = max(slowest, (time.perf_counter() - started) / size)
        if time.perf_counter() - began > seconds * (1 - 1 / (1 + len(costs[sizes[0]]))):
            return {size: statistics.median(found) for size, found in costs.items() if found}


def _cost(work: Callable[[], int], seconds: float, *, fallback_cores: float = 1.0) -> float:
    """Return core-milliseconds a picture of `work`, which returns the number of pictures it did.

    Counts the processor time of this process and its children. If the system does not report it, counts the
    elapsed time of `fallback_cores`.
    """
    before, began, done = _used(), time.perf_counter(), 0
    while not done or time.perf_counter() - began < seconds:
        done += work()
    after, passed = _used(), time.perf_counter() - began
    used = passed * fallback_cores if before is None or after is None else after - before
    return 1000 * used / done


def _used() -> float | None:
    tree = read_tree(os.getpid())
    # This process's clock has a finer resolution than the kernel's ticks.
    return None if tree is None else time.process_time() + tree.children_seconds


def _noise(encoder: Encoder, count: int) -> list[Pixels]:
    """Return preprocessed noise: the tower takes the same time for any picture."""
    width, height = encoder.info.preprocessing.final(SIZE)
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (height, width, 3), np.uint8) for _ in range(count)]
