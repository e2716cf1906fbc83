"""A review: an open question for a person, and its place in the queue."""

from worker.domain.decision import Decision
from worker.domain.policy import Action


def needs_review(decision: Decision) -> bool:
    """Whether a person has to look."""
    return decision.action is Action.REVIEW


def priority(decision: Decision) -> float:
    """Return the place in the queue, larger first: severity, then the strongest flagged score.

    What could not be judged has severity 0 and no score, and waits behind what was.
    """
    strongest = max((s.score for s in decision.scores if s.label in decision.flagged), default=0.0)
    return decision.severity + min(strongest, 0.999)
