"""Which pictures look nearly the same: every frame of one like the same frame of the other."""

from collections.abc import Mapping
from typing import Final, TypeVar

import numpy as np

from worker.domain.scoring import Matrix

Key = TypeVar("Key")

#: Stored vectors are float16, and no two roundings of one picture should part it from itself.
_ROUNDING: Final = 1e-3


def nearly_same(picture: Matrix, others: Mapping[Key, Matrix], cosine: float) -> dict[Key, float]:
    """Return which others have at least this cosine with `picture` in their least similar frame, and it.

    Each is one unit vector a frame, shape (frames, dimension); what has another number of frames differs.
    """
    alike = {key: vectors for key, vectors in others.items() if vectors.shape == picture.shape}
    if not alike:
        return {}
    stacked = _unit(np.stack(list(alike.values())))
    least = np.einsum("nfd,fd->nf", stacked, _unit(picture)).min(axis=1)
    return {
        key: float(likeness)
        for key, likeness in zip(alike, least, strict=True)
        if likeness >= cosine - _ROUNDING * (cosine >= 1)
    }


def _unit(vectors: Matrix) -> Matrix:
    scaled: Matrix = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
    return scaled
