"""Stores and erases captions: the texts of submissions and their vectors, which are personal data."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import numpy as np
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from worker.domain.moderation.scoring import Vector
from worker.store.engine import inserting
from worker.store.engine.tables import CaptionVectorRow, SubmissionRow
from worker.store.engine.updating import update_submissions

#: How vectors are stored, as those of pictures: float16, little-endian.
_HALF: Final = np.dtype("<f2")


def find(session: Session, ids: Collection[str], model_digest: str) -> dict[str, tuple[str, Vector | None]]:
    """Return the texts of those of these submissions that have one, with their vectors under this model.

    The vector is None if it is not stored: no policy has read the text.
    """
    is_vector = (CaptionVectorRow.submission_id == SubmissionRow.id) & (
        CaptionVectorRow.model_digest == model_digest
    )
    query = (
        select(SubmissionRow.id, SubmissionRow.text, CaptionVectorRow.vector)
        .outerjoin(CaptionVectorRow, is_vector)
        .where(SubmissionRow.id.in_(ids), SubmissionRow.text.is_not(None))
    )
    return {name: (text or "", _vector(stored)) for name, text, stored in session.execute(query)}


def keep(session: Session, model_digest: str, vectors: Mapping[str, Vector]) -> None:
    """Store the vectors of submissions' captions, except those that exist; rounds to float16."""
    rows = [
        {"submission_id": name, "model_digest": model_digest, "vector": vectors[name].astype(_HALF).tobytes()}
        # In a fixed order, so that two workers that store the same captions never deadlock.
        for name in sorted(vectors)
    ]
    inserting.keep(session, CaptionVectorRow, rows)


def erase(session: Session, ids: Sequence[str]) -> None:
    """Erase the captions of these submissions: their texts, and their vectors under every model.

    A fingerprint stays, by which a repeated submission is recognised. The reasons of decisions name the
    policy's words, never the text.
    """
    update_submissions(session, ids, text=None)
    session.execute(
        delete(CaptionVectorRow)
        .where(CaptionVectorRow.submission_id.in_(ids))
        .execution_options(synchronize_session=False)
    )


def _vector(stored: bytes | None) -> Vector | None:
    return None if stored is None else np.frombuffer(stored, _HALF).astype(np.float32)
