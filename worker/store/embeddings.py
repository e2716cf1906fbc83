"""Embeddings: what a model saw in a picture, kept so that the same bytes are not embedded again."""

from collections.abc import Collection
from dataclasses import asdict, dataclass

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from worker.domain.picture import PictureFacts
from worker.domain.scoring import Matrix
from worker.store import inserting
from worker.store.tables import EmbeddingRow


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
    vectors = np.frombuffer(row.vectors, dtype="<f2").reshape(-1, row.dimension)
    facts = PictureFacts(row.sha256, row.format, row.width, row.height, row.frames)
    return StoredEmbedding(facts, vectors.astype(np.float32))


def vectors_of(session: Session, sha256s: Collection[str], model_digest: str) -> dict[str, Matrix]:
    """Return the vectors of these pictures, as far as they are kept: float32, shape (frames, dimension)."""
    query = select(EmbeddingRow.sha256, EmbeddingRow.vectors, EmbeddingRow.dimension).where(
        EmbeddingRow.sha256.in_(sha256s), EmbeddingRow.model_digest == model_digest
    )
    return {
        sha256: np.frombuffer(vectors, "<f2").reshape(-1, dimension).astype(np.float32)
        for sha256, vectors, dimension in session.execute(query)
    }


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
    vectors = [np.frombuffer(row.vectors, dtype="<f2", count=row.dimension) for row in rows]
    return np.stack(vectors).astype(np.float32) if vectors else np.empty((0, 0), np.float32)


def keep(session: Session, facts: PictureFacts, model_digest: str, embedding: Matrix) -> None:
    """Keep a picture's embedding, shape (frames, dimension), unless it is there; rounds to float16.

    ValueError where `embedding` has neither one vector a frame nor two.
    """
    count, dimension = embedding.shape
    if count not in {facts.frames, 2 * facts.frames}:
        raise ValueError(f"{facts.frames} frames, but {count} vectors")
    vectors = embedding.astype("<f2").tobytes()
    inserting.keep(
        session,
        EmbeddingRow,
        **asdict(facts),
        model_digest=model_digest,
        dimension=dimension,
        vectors=vectors,
    )
