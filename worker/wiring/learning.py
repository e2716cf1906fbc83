"""Assembles the use cases of learning; importing it takes a second, since scikit-learn is large."""

from worker.encoder.protocol import Encoder
from worker.settings import Settings
from worker.store.engine.database import Database
from worker.usecases.learning.propose_learning import ProposeLearning
from worker.usecases.moderation.judge_picture import vector_digest
from worker.wiring.components import limits_of


def propose_learning(settings: Settings, encoder: Encoder, database: Database) -> ProposeLearning:
    """Return the use case that proposes what a policy can learn."""
    return ProposeLearning(encoder, vector_digest(encoder, limits_of(settings)), database)
