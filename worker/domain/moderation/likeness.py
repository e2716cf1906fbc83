"""Which pictures look nearly the same: every view of one like the same view of the other."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.domain.moderation.scoring import Matrix

#: Stored vectors are float16, and no two roundings of one picture should part it from itself.
_ROUNDING: Final = 1e-3


def nearly_same(picture: Matrix, others: NDArray[np.float32], cosine: float) -> dict[int, float]:
    """Return which others have at least this cosine with `picture` in their least similar view, and it.

    `picture` is one vector a view, shape (views, dimension), `others` shape (pictures, views, dimension);
    the keys are their rows. Vectors need not be unit: their rounding has changed their length.
    """
    products = np.einsum("nvd,vd->nv", others, picture, optimize=True)
    lengths = np.linalg.norm(others, axis=2) * np.linalg.norm(picture, axis=1)
    least = (products / np.maximum(lengths, 1e-12)).min(axis=1)
    (rows,) = np.nonzero(least >= cosine - _ROUNDING * (cosine >= 1))
    return {int(row): float(least[row]) for row in rows}
