"""A review: an open question for a person, and its place in the queue."""

from enum import StrEnum

from worker.domain.decision import Decision
from worker.domain.policy import Action


class ReviewKind(StrEnum):
    """Why a person is asked."""

    #: The policy says so.
    DECISION = "decision"
    #: The picture was allowed, and drawn for the audit.
    AUDIT = "audit"
    #: Workers died of the picture: nobody could judge it.
    QUARANTINE = "quarantine"


def kind_of_review(decision: Decision, *, drawn: bool) -> ReviewKind | None:
    """Why a person has to look at this decision, or None; `drawn` for the audit or not."""
    if decision.quarantined:
        return ReviewKind.QUARANTINE
    if decision.action is Action.REVIEW:
        return ReviewKind.DECISION
    return ReviewKind.AUDIT if drawn else None


def priority(decision: Decision) -> float:
    """Return the place in the queue, larger first: severity, then the strongest flagged score.

    What could not be judged has severity 0 and no score, and waits behind what was.
    """
    strongest = max((s.score for s in decision.scores if s.label in decision.flagged), default=0.0)
    return decision.severity + min(strongest, 0.999)
