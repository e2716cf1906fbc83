"""Assembles the search for better words, which loads SciPy and scikit-learn; workers do without them."""

from worker.encoder.protocol import Encoder
from worker.policy_files.nouns import concrete_nouns
from worker.settings import Settings
from worker.store.engine.database import Database
from worker.usecases.moderation.judge_picture import vector_digest
from worker.usecases.policies.suggesting.suggest_changes import SuggestChanges
from worker.wiring.components import limits_of


def suggest_changes(settings: Settings, encoder: Encoder, database: Database) -> SuggestChanges:
    """Return the use case that suggests changes of a policy."""
    digest = vector_digest(encoder, limits_of(settings))
    return SuggestChanges(encoder, digest, database, concrete_nouns())
