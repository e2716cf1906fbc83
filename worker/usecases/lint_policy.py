"""Looks at a policy with the model's eyes, and warns of what its author would not expect."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from worker.domain.policy import Policy
from worker.domain.policy_lint import lint_on_pictures, lint_phrases
from worker.domain.scoring import Matrix
from worker.encoder.protocol import Encoder
from worker.errors import DatabaseUnavailableError, SchemaError
from worker.policy_files.findings import Findings
from worker.store import embeddings, schema
from worker.store.database import Database
from worker.usecases.prepare_policy import embed_policy

#: Enough for what is uploaded often to be among them, and at 512 numbers a vector 10 MB.
MAX_PICTURES: Final = 5_000


@dataclass(frozen=True, slots=True, eq=False)
class LintPolicy:
    """Warn of phrases that do something else than they say."""

    encoder: Encoder
    #: The embeddings of uploads, shape (pictures, dimension); there may be none.
    pictures: Matrix

    def __call__(self, policy: Policy, file: Path, text: str) -> list[str]:
        """Return the warnings about the policy that `text`, the content of `file`, describes.

        Raises InvalidPolicyError with every phrase that the model would cut off.
        """
        vectors = embed_policy(self.encoder, policy, file, text)
        found = Findings(file, text)
        for finding in [
            *lint_phrases(policy, vectors),
            *lint_on_pictures(policy, vectors, self.pictures),
        ]:
            found.add(finding.at, finding.message, finding.hint, phrase=finding.phrase)
        return found.warnings()


def newest_pictures(database: Database, model_digest: str) -> Matrix:
    """Return a model's newest embeddings, shape (pictures, dimension); none where no database answers."""
    try:
        schema.check(database)
        with database.reading() as session:
            return embeddings.newest(session, model_digest, MAX_PICTURES)
    except (DatabaseUnavailableError, SchemaError):
        return np.empty((0, 0), np.float32)
