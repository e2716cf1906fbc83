"""Embeddings of pictures, stored so that the same bytes are not embedded again."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from worker.domain.moderation.picture import PictureFacts
from worker.domain.moderation.scoring import Matrix
from worker.domain.moderation.view import Views
from worker.store.engine import inserting
from worker.store.engine.tables import EmbeddingRow

#: How vectors are stored: float16, little-endian.
_HALF: Final = np.dtype("<f2")
_FACTS: Final = tuple(field.name for field in fields(PictureFacts))


@dataclass(frozen=True, slots=True)
class StoredEmbedding:
    """A picture's facts and a vector for each view: float32, shape (views, dimension), exact to float16."""

    facts: PictureFacts
    embedding: Matrix

    @property
    def views(self) -> Views:
        """The view that each vector belongs to."""
        return self.facts.views(len(self.embedding))


def find(session: Session, sha256: str, model_digest: str) -> StoredEmbedding | None:
    """Return the embedding of the picture with these bytes under this model; None if it is not stored."""
    (found,) = find_all(session, [sha256], model_digest)
    return found


def find_all(session: Session, sha256s: Sequence[str], model_digest: str) -> list[StoredEmbedding | None]:
    """Return the embeddings of these pictures under this model, in the order given; None if not stored."""
    columns = [getattr(EmbeddingRow, name) for name in (*_FACTS, "dimension", "vectors")]
    query = select(*columns).where(
        EmbeddingRow.sha256.in_(set(sha256s)), EmbeddingRow.model_digest == model_digest
    )
    found = {row[0]: row for row in session.execute(query)}
    return [_stored(*found[sha256]) if sha256 in found else None for sha256 in sha256s]


def _stored(*columns: Any) -> StoredEmbedding:
    *facts, dimension, vectors = columns
    halves = np.frombuffer(vectors, dtype=_HALF).reshape(-1, dimension)
    return StoredEmbedding(PictureFacts(*facts), halves.astype(np.float32))


def like(
    session: Session, sha256s: Collection[str], model_digest: str, picture: StoredEmbedding
) -> tuple[list[str], NDArray[np.float32]]:
    """Return which of these pictures have the same views as `picture`, and their vectors.

    Shape (pictures, views, dimension), float32, in the order of the digests returned.
    """
    views, dimension = picture.views, picture.embedding.shape[1]
    query = select(EmbeddingRow.sha256, EmbeddingRow.vectors).where(
        EmbeddingRow.sha256.in_(sha256s),
        EmbeddingRow.model_digest == model_digest,
        EmbeddingRow.dimension == dimension,
        EmbeddingRow.frames == views.frames,
        EmbeddingRow.parts == views.parts,
    )
    if views.parts > 1:
        # The left part of one picture does not compare with the top part of another.
        query = query.where((EmbeddingRow.height > EmbeddingRow.width) == views.is_tall)
    rows = session.execute(query).all()
    found = [row for row in rows if len(row.vectors) == len(views) * dimension * _HALF.itemsize]
    stacked = np.frombuffer(b"".join(row.vectors for row in found), _HALF).astype(np.float32)
    return [row.sha256 for row in found], stacked.reshape(-1, len(views), dimension)


def newest(session: Session, model_digest: str, limit: int) -> Matrix:
    """Return vectors of the pictures that were embedded last, at most `limit`.

    Shape (pictures, dimension), float32: of a picture with several views, the first one's vector.
    """
    rows = session.execute(
        select(EmbeddingRow.vectors, EmbeddingRow.dimension)
        .where(EmbeddingRow.model_digest == model_digest)
        .order_by(EmbeddingRow.created_at.desc())
        .limit(limit)
    )
    vectors = [np.frombuffer(row.vectors, dtype=_HALF, count=row.dimension) for row in rows]
    return np.stack(vectors).astype(np.float32) if vectors else np.empty((0, 0), np.float32)


def keep(session: Session, model_digest: str, pictures: Iterable[tuple[PictureFacts, Matrix]]) -> None:
    """Store pictures' embeddings, shape (views, dimension), except those that exist; rounds to float16.

    ValueError if the number of an embedding's vectors does not fit its facts.
    """
    rows = {facts.sha256: _row(model_digest, facts, embedding) for facts, embedding in pictures}
    # In a fixed order, so that two workers that store the same pictures never deadlock.
    inserting.keep(session, EmbeddingRow, [rows[sha256] for sha256 in sorted(rows)])


def _row(model_digest: str, facts: PictureFacts, embedding: Matrix) -> dict[str, Any]:
    stored = StoredEmbedding(facts, embedding)
    return {
        **asdict(facts),
        "model_digest": model_digest,
        "dimension": embedding.shape[1],
        "vectors": embedding.astype(_HALF).reshape(len(stored.views), -1).tobytes(),
    }
