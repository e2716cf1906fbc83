"""Assembles what measures policies with SciPy and scikit-learn, which workers do not load."""

from worker.encoder.protocol import Encoder
from worker.images.processes.pool import DecoderPool
from worker.settings import Settings
from worker.usecases.policies.evaluation.evaluate_policy import EvaluatePolicy
from worker.wiring.policies import scan_folder


def evaluate_policy(settings: Settings, encoder: Encoder, decoder: DecoderPool) -> EvaluatePolicy:
    """Return the use case that measures a policy on labelled pictures."""
    return EvaluatePolicy(scan_folder(settings, encoder, decoder))
