"""Finds the stored embeddings of bytes that were judged before, for many pictures in one statement."""

from collections.abc import Sequence
from dataclasses import dataclass

from worker.store.decisions import embeddings
from worker.store.engine.database import Database
from worker.usecases.moderation.judge_picture import EmbeddedPicture, JudgePicture


@dataclass(frozen=True, slots=True)
class RecallEmbeddings:
    """Look up stored embeddings by the SHA-256 of the bytes."""

    database: Database
    judge_picture: JudgePicture

    def __call__(self, sha256s: Sequence[str]) -> list[EmbeddedPicture | None]:
        """Return the embedding of each under this model, in order; None if it is not stored."""
        with self.database.reading() as session:
            found = embeddings.find_all(session, sha256s, self.judge_picture.digest)
        return [EmbeddedPicture(one.facts, one.embedding) if one else None for one in found]
