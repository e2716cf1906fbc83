"""Assembles what measures policies, and learns, with SciPy and scikit-learn, which workers do not load."""

from worker.encoder.protocol import Encoder
from worker.images.processes.pool import DecoderPool
from worker.settings import Settings
from worker.store.engine.database import Database
from worker.usecases.learning.propose_learning import ProposeLearning
from worker.usecases.moderation.judge_picture import vector_digest
from worker.usecases.policies.evaluation.evaluate_policy import EvaluatePolicy
from worker.wiring.components import limits_of
from worker.wiring.policies import scan_folder


def evaluate_policy(settings: Settings, encoder: Encoder, decoder: DecoderPool) -> EvaluatePolicy:
    """Return the use case that measures a policy on labelled pictures."""
    return EvaluatePolicy(scan_folder(settings, encoder, decoder))


def propose_learning(settings: Settings, encoder: Encoder, database: Database) -> ProposeLearning:
    """Return the use case that proposes what a policy can learn."""
    return ProposeLearning(encoder, vector_digest(encoder, limits_of(settings)), database)
