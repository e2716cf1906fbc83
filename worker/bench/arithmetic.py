"""Measures how fast this machine multiplies, without any model."""

import time
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.concurrency.processors import usable_processors

#: As large as the products of a batch; smaller ones do not reach a processor's speed. For ViT-B/32 it gives
#: 21 pictures a second on a machine on which PyTorch's tower alone reaches 19.
_SIDE: Final = 2048
#: The fastest counts.
_ROUNDS: Final = 3


def multiplications_a_second() -> float:
    """Return how many multiplications of float32, in matrices, the processors that we may use do in a second.

    By the processors' time, so that other programs do not count.
    """
    matrix = np.ones((_SIDE, _SIDE), np.float32)
    return usable_processors() * _SIDE**3 / min(_processor_seconds(matrix) for _ in range(_ROUNDS))


def _processor_seconds(matrix: NDArray[np.float32]) -> float:
    start = time.process_time()
    matrix @ matrix
    return time.process_time() - start
