"""Measures the speed of matrix multiplication, without any model."""

import time
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.concurrency.processors import usable_processors

#: As large as the matrices of a batch; smaller ones do not reach a processor's full speed. For ViT-B/32 it
#: predicts 21 pictures a second on a machine on which PyTorch's tower alone reaches 19.
_SIDE: Final = 2048
#: The fastest round counts.
_ROUNDS: Final = 3


def multiplications_a_second() -> float:
    """Return how many float32 multiplications a second the usable processors do, in matrix products.

    Counts processor time, so other programs do not distort the result.
    """
    matrix = np.ones((_SIDE, _SIDE), np.float32)
    return usable_processors() * _SIDE**3 / min(_processor_seconds(matrix) for _ in range(_ROUNDS))


def _processor_seconds(matrix: NDArray[np.float32]) -> float:
    start = time.process_time()
    matrix @ matrix
    return time.process_time() - start
