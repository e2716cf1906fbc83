"""Near-duplicate pictures: each view of one is similar to the same view of the other."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.domain.moderation.scoring import Matrix

#: Stored vectors are float16: a picture must match itself in spite of the rounding.
_ROUNDING: Final = 1e-3


def nearly_same(picture: Matrix, others: NDArray[np.float32], cosine: float) -> dict[int, float]:
    """Return the rows of `others` whose least similar view has at least this cosine, with that cosine.

    `picture` is one vector a view, shape (views, dimension), `others` shape (pictures, views, dimension).
    Vectors need not have unit length: rounding has changed it.
    """
    products = np.einsum("nvd,vd->nv", others, picture, optimize=True)
    lengths = np.linalg.norm(others, axis=2) * np.linalg.norm(picture, axis=1)
    least = (products / np.maximum(lengths, 1e-12)).min(axis=1)
    (rows,) = np.nonzero(least >= cosine - _ROUNDING * (cosine >= 1))
    return {int(row): float(least[row]) for row in rows}
