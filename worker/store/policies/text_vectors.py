"""Text vectors: a model's embeddings of phrases, stored so that no worker encodes them again."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

import numpy as np
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from worker.domain.moderation.scoring import Vector
from worker.store.engine import inserting
from worker.store.engine.clock import database_now
from worker.store.engine.deleting import delete_some, is_any
from worker.store.engine.tables import TextVectorRow

#: How vectors are stored, without loss: float32, little-endian.
_NUMBERS: Final = np.dtype("<f4")
#: How many texts one statement looks up: databases limit its parameters.
_CHUNK: Final = 1000
#: How stale `used_at` may be: recording every use would write at every start of a worker.
_USE_INTERVAL: Final = timedelta(days=1)


def find(session: Session, model_digest: str, texts: Sequence[str]) -> dict[str, Vector]:
    """Return the stored vectors of these texts under this model, and record that they are used."""
    names = {_sha256(text): text for text in texts}
    found: dict[str, Vector] = {}
    now = database_now(session)
    digests = sorted(names)
    for start in range(0, len(digests), _CHUNK):
        of_these = (
            TextVectorRow.text_sha256.in_(digests[start : start + _CHUNK]),
            TextVectorRow.model_digest == model_digest,
        )
        for digest, vector in session.execute(
            select(TextVectorRow.text_sha256, TextVectorRow.vector).where(*of_these)
        ):
            found[names[digest]] = np.frombuffer(vector, _NUMBERS).astype(np.float32)
        stale = TextVectorRow.used_at < now - _USE_INTERVAL
        session.execute(update(TextVectorRow).where(*of_these, stale).values(used_at=now))
    return found


def keep(session: Session, model_digest: str, vectors: Mapping[str, Vector]) -> None:
    """Store the vectors of texts under this model, except those that exist."""
    rows = {
        _sha256(text): {"model_digest": model_digest, "vector": vector.astype(_NUMBERS).tobytes()}
        for text, vector in vectors.items()
    }
    now = database_now(session)
    # In a fixed order, so that two workers that store the same vectors never deadlock.
    inserting.keep(
        session, TextVectorRow, [{"text_sha256": name, "used_at": now, **rows[name]} for name in sorted(rows)]
    )


def is_any_unused(session: Session, *, older_than: timedelta) -> bool:
    """Whether there are vectors that no worker has used for `older_than`."""
    return is_any(session, TextVectorRow.used_at < database_now(session) - older_than)


def forget_unused(session: Session, *, older_than: timedelta, limit: int) -> int:
    """Delete at most `limit` vectors that no worker has used for `older_than`; return how many."""
    unused = TextVectorRow.used_at < database_now(session) - older_than
    return delete_some(session, TextVectorRow, unused, limit=limit)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
