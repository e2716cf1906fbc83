"""Opens decoder pools for tests; they are closed after the block."""

from collections.abc import Iterator
from contextlib import contextmanager

from worker.images.limits import Limits
from worker.images.processes.pool import DecoderPool

#: The limits of a worker with default settings.
LIMITS = Limits(max_bytes=20 * 2**20, max_pixels=50_000_000, max_side=16_384, max_frames=8)
MEMORY_BYTES = 2**31
POISONED = "support.poisoned_child"


@contextmanager
def open_pool(limits: Limits = LIMITS, **options: object) -> Iterator[DecoderPool]:
    usual = {"processes": 2, "seconds": 20, "memory_bytes": MEMORY_BYTES}
    pool = DecoderPool(limits, **(usual | options))
    try:
        yield pool
    finally:
        pool.close()


def process_ids(pool: DecoderPool) -> set[int]:
    return {child.pid for child in pool._children}
