"""Lints a policy with the model: warn of phrases whose effect the author would not expect."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from worker.domain.evaluation.policy_lint import MIN_PICTURES, lint_on_pictures, lint_phrases
from worker.domain.moderation.scoring import Matrix
from worker.domain.policies.policy import Policy
from worker.encoder.phrases import encode_phrases
from worker.encoder.protocol import Encoder
from worker.errors import DatabaseUnavailableError, SchemaError
from worker.policy_files.findings import Findings
from worker.store.decisions import embeddings
from worker.store.engine.database import Database
from worker.store.upgrade import schema
from worker.usecases.policies.prepare_policy import embed_policy
from worker.usecases.policies.read_phrases import find_unreadable

#: Enough to include what is uploaded often; 10 MB with 512 numbers a vector.
MAX_PICTURES: Final = 5_000
#: Random letters, meaningless in any language.
NONSENSE: Final = (
    "xwgpzt",
    "dzbtlwkjt",
    "wtqgkgvqb",
    "hxcmb",
    "tzqrqxs",
    "pfcgtj",
    "rmrvqxp",
    "xrxknblzh",
    "wxxfjxl",
    "fdttdpd",
    "gbmrrfcz",
    "cqxnwlvkc",
    "bdfzwcj",
    "mzlgcnnp",
    "qqsvqz",
    "fzvlrkmrl",
    "mwnbrxnbq",
    "xgcnsppzl",
    "bxcbplsm",
    "znhphnpzl",
)


@dataclass(frozen=True, slots=True, eq=False)
class LintPolicy:
    """Warn of phrases that do not do what they say."""

    encoder: Encoder
    #: The embeddings of uploads, shape (pictures, dimension); there may be none.
    pictures: Matrix

    def __call__(self, policy: Policy, file: Path, text: str) -> Findings:
        """Return the findings about the policy described by `text`, the content of `file`.

        InvalidPolicyError with every phrase that the model would cut off.
        """
        vectors = embed_policy(self.encoder, policy, file, text)
        found = find_unreadable(self.encoder, policy, vectors, Findings(file, text))
        found.add_all(lint_phrases(policy, vectors))
        if len(self.pictures) >= MIN_PICTURES:
            nonsense = encode_phrases(self.encoder, NONSENSE, policy.templates).matrix
            found.add_all(lint_on_pictures(policy, vectors, self.pictures, nonsense))
        return found


def newest_pictures(database: Database, model_digest: str) -> Matrix:
    """Return a model's newest embeddings, shape (pictures, dimension); empty if no database answers."""
    try:
        schema.check(database)
        with database.reading() as session:
            return embeddings.newest(session, model_digest, MAX_PICTURES)
    except (DatabaseUnavailableError, SchemaError):
        return np.empty((0, 0), np.float32)
