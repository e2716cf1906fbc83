"""Stores the vectors of phrases across restarts, for all workers of a deployment."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from worker.domain.moderation.scoring import Vector
from worker.errors import UnavailableError
from worker.store.engine.database import Database
from worker.store.policies import text_vectors

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KeepTextVectors:
    """Persistent storage of a text cache; acts as if empty while the database is unavailable."""

    database: Database
    model_digest: str

    def recall(self, texts: Sequence[str]) -> Mapping[str, Vector]:
        """Return the vectors that a worker with this model has stored."""
        try:
            with self.database.transaction() as session:
                return text_vectors.find(session, self.model_digest, texts)
        except UnavailableError as error:
            log.warning("phrases are encoded anew: %s", error.message)
            return {}

    def keep(self, vectors: Mapping[str, Vector]) -> None:
        """Store vectors for the next start."""
        try:
            with self.database.transaction() as session:
                text_vectors.keep(session, self.model_digest, vectors)
        except UnavailableError as error:
            log.warning("the vectors of %d phrases are not kept: %s", len(vectors), error.message)
