"""Embeddings: what a model saw in a picture, kept so that the same bytes are not embedded again."""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from worker.domain.picture import PictureFacts
from worker.domain.scoring import Matrix
from worker.store import inserting
from worker.store.tables import EmbeddingRow

#: As vectors are stored: float16, little-endian.
_HALF: Final = np.dtype("<f2")


@dataclass(frozen=True, slots=True)
class StoredEmbedding:
    """A picture's facts and one vector a frame: float32, shape (frames, dimension), exact to float16.

    Twice as many where the picture was looked at on two pages.
    """

    facts: PictureFacts
    embedding: Matrix


def find(session: Session, sha256: str, model_digest: str) -> StoredEmbedding | None:
    """Return what is known of the picture with these bytes under this model."""
    row = session.get(EmbeddingRow, (sha256, model_digest))
    if row is None:
        return None
    vectors = np.frombuffer(row.vectors, dtype=_HALF).reshape(-1, row.dimension)
    facts = PictureFacts(row.sha256, row.format, row.width, row.height, row.frames)
    return StoredEmbedding(facts, vectors.astype(np.float32))


def of_shape(
    session: Session, sha256s: Collection[str], model_digest: str, shape: tuple[int, int]
) -> tuple[list[str], NDArray[np.float32]]:
    """Return which of these pictures have vectors of this shape, (frames, dimension), and the vectors.

    Shape (pictures, frames, dimension), float32, in the order of the digests returned.
    """
    query = select(EmbeddingRow.sha256, EmbeddingRow.vectors).where(
        EmbeddingRow.sha256.in_(sha256s), EmbeddingRow.model_digest == model_digest
    )
    frames, dimension = shape
    rows = session.execute(query.where(EmbeddingRow.dimension == dimension)).all()
    found = [row for row in rows if len(row.vectors) == frames * dimension * _HALF.itemsize]
    stacked = np.frombuffer(b"".join(row.vectors for row in found), _HALF).astype(np.float32)
    return [row.sha256 for row in found], stacked.reshape(-1, frames, dimension)


def newest(session: Session, model_digest: str, limit: int) -> Matrix:
    """Return the vectors of the pictures that were embedded last, at most `limit`.

    Shape (pictures, dimension), float32; an animated picture is there with its first frame.
    """
    rows = session.execute(
        select(EmbeddingRow.vectors, EmbeddingRow.dimension)
        .where(EmbeddingRow.model_digest == model_digest)
        .order_by(EmbeddingRow.created_at.desc())
        .limit(limit)
    )
    vectors = [np.frombuffer(row.vectors, dtype=_HALF, count=row.dimension) for row in rows]
    return np.stack(vectors).astype(np.float32) if vectors else np.empty((0, 0), np.float32)


def keep(session: Session, facts: PictureFacts, model_digest: str, embedding: Matrix) -> None:
    """Keep a picture's embedding, shape (frames, dimension), unless it is there; rounds to float16.

    ValueError where `embedding` has neither one vector a frame nor two.
    """
    count, dimension = embedding.shape
    if count not in {facts.frames, 2 * facts.frames}:
        raise ValueError(f"{facts.frames} frames, but {count} vectors")
    vectors = embedding.astype(_HALF).tobytes()
    inserting.keep(
        session,
        EmbeddingRow,
        **asdict(facts),
        model_digest=model_digest,
        dimension=dimension,
        vectors=vectors,
    )
