"""A sample of the archive's pictures, each once, with what people said about them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: What a verdict says about a label of a picture; UNKNOWN without a verdict.
RIGHT, UNKNOWN, FALSE = 1, 0, -1


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Different pictures of the archive, in no particular order."""

    #: A submission of each picture, and the SHA-256 of its bytes in hexadecimal.
    submission_ids: Sequence[str]
    sha256s: Sequence[str]
    #: How many rows of `vectors` each has, at least 1.
    views: NDArray[np.intp]
    #: float16 unit vectors, shape (sum of views, dimension).
    vectors: NDArray[np.float16]
    #: RIGHT, UNKNOWN or FALSE, shape (pictures, labels).
    truth: NDArray[np.int8]
    #: 1 / the probability with which a person was shown the picture.
    weights: NDArray[np.float64]
    #: Which pictures were drawn at random; the others are here because of their verdict.
    drawn: NDArray[np.bool_]

    @property
    def owners(self) -> NDArray[np.intp]:
        """The picture of each row of `vectors`."""
        return np.repeat(np.arange(len(self.views)), self.views)

    @property
    def firsts(self) -> NDArray[np.intp]:
        """The first row of each picture."""
        return np.concatenate(([0], np.cumsum(self.views)[:-1])).astype(np.intp)

    @property
    def is_held_out(self) -> NDArray[np.bool_]:
        """Which pictures measure effects; the other half chooses.

        By the last digit of the SHA-256, so a picture is in the same half whenever it is asked about.
        """
        return np.array([int(sha256[-1], 16) % 2 == 1 for sha256 in self.sha256s], np.bool_)

    @property
    def has_verdict(self) -> NDArray[np.bool_]:
        """Which pictures have a verdict."""
        judged: NDArray[np.bool_] = (self.truth != UNKNOWN).any(axis=1)
        return judged
