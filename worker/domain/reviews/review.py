"""A review: an open question for a person, and its place in the queue."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from worker.domain.moderation.decision import QUARANTINED, Decision
from worker.domain.policies.policy import DEFAULT_QUEUE, Action, Policy

#: From this severity on, pictures count against a person's daily cap.
SEVERE: Final = 4
#: The place of what has no deadline among what has: as if it had this one, so that nothing waits for ever.
UNHURRIED: Final = timedelta(days=7)
_FIRST_HOUR: Final = datetime(2020, 1, 1, tzinfo=UTC)
_A_CENTURY: Final = timedelta(days=36_500)
_AN_HOUR: Final = timedelta(hours=1)


class ReviewKind(StrEnum):
    """Why a person is asked."""

    #: The policy says so.
    DECISION = "decision"
    #: The picture was allowed, and drawn for the audit.
    AUDIT = "audit"
    #: Workers died of the picture: nobody could judge it.
    QUARANTINE = "quarantine"
    #: The platform asks whether the decision was right.
    APPEAL = "appeal"
    #: Somebody answered, and a second person answers without knowing what.
    SECOND = "second"
    #: The first and the second differ: a lead decides.
    DISAGREEMENT = "disagreement"
    #: The answer is known: it shows how well the person sees.
    GOLDEN = "golden"

    @property
    def is_first(self) -> bool:
        """Whether nobody was asked about the decision before."""
        return self in {ReviewKind.DECISION, ReviewKind.AUDIT, ReviewKind.QUARANTINE}

    @property
    def decides(self) -> bool:
        """Whether the answer is in force; the others measure."""
        return self not in {ReviewKind.SECOND, ReviewKind.GOLDEN}

    @property
    def is_blind(self) -> bool:
        """Whether the person must neither be told of earlier answers, nor that this is no common review."""
        return self in {ReviewKind.SECOND, ReviewKind.GOLDEN}

    @property
    def is_impartial(self) -> bool:
        """Whether nobody may answer who answered about the submission before."""
        return self in {ReviewKind.APPEAL, ReviewKind.SECOND, ReviewKind.DISAGREEMENT, ReviewKind.GOLDEN}


@dataclass(frozen=True, slots=True)
class Routing:
    """Where a review waits, and how long it may."""

    queue: str
    #: Larger first.
    priority: float
    deadline_at: datetime | None


@dataclass(frozen=True, slots=True)
class ClaimToken:
    """What shows that somebody holds a review: the number of their claim, which a later claim outdates."""

    review_id: int
    fence: int


def first_kind(action: Action, reason: str) -> ReviewKind:
    """Return why the first person was asked about a decision: a blind review passes for that."""
    if reason.startswith(QUARANTINED):
        return ReviewKind.QUARANTINE
    return ReviewKind.AUDIT if action is Action.ALLOW else ReviewKind.DECISION


def kind_of_review(decision: Decision, *, drawn: bool) -> ReviewKind | None:
    """Why a person has to look at this decision, or None; `drawn` for the audit or not."""
    if decision.action is Action.REVIEW:
        return ReviewKind.DECISION
    return ReviewKind.AUDIT if drawn else None


def place_in_queue(policy: Policy, decision: Decision, now: datetime) -> Routing:
    """Return where the policy wants a decision to wait.

    In the queue of the gravest flagged label that names one, else in the policy's; no longer than the most
    urgent flagged label allows. Graver ones come first, then those due in an earlier hour, then those
    nearest to a threshold, which teach most.
    """
    rules = [policy.label(name).reviewing for name in decision.flagged]
    queues = [rule.queue for rule in (*rules, policy.reviewing) if rule.queue]
    times = [
        minutes
        for rule in rules
        if (minutes := rule.within_minutes or policy.reviewing.within_minutes) is not None
    ]
    if not rules and policy.reviewing.within_minutes is not None:
        times = [policy.reviewing.within_minutes]
    deadline_at = now + timedelta(minutes=min(times)) if times else None
    due_at = deadline_at or now + UNHURRIED
    order = order_of(decision.severity, due_at, _uncertainty(policy, decision))
    return Routing(queues[0] if queues else DEFAULT_QUEUE, order, deadline_at)


def priority(decision: Decision) -> float:
    """Return how much attention a decision deserves, whatever the policy: severity, then strongest score.

    What could not be judged has severity 0 and no score, and comes after what was.
    """
    strongest = max((s.score for s in decision.scores if s.label in decision.flagged), default=0.0)
    return decision.severity + min(strongest, 0.999)


def order_of(severity: int, due_at: datetime, uncertainty: float = 0.5) -> float:
    """Return one number that sorts by all three, each deciding where the ones before are equal.

    The hours of a century take 20 of a double's 53 bits, the severity 3: enough are left for the uncertainty.
    """
    hours = _A_CENTURY // _AN_HOUR
    left = min(max((due_at - _FIRST_HOUR) // _AN_HOUR, 0), hours - 1)
    return severity + (hours - 1 - left + min(uncertainty, 0.999)) / hours


def _uncertainty(policy: Policy, decision: Decision) -> float:
    """Return how near the flagged scores are to a threshold: 1 for on it, 0 for a whole score away."""
    flagged = set(decision.flagged)
    distances = [
        abs(found.score - threshold)
        for found in decision.scores
        if found.label in flagged
        for threshold in (policy.label(found.label).review, policy.label(found.label).block)
        if threshold is not None
    ]
    return 1 - min(distances, default=1.0)
