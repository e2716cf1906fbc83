"""A review: an open question for a person, and its place in the queue."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from worker.domain.moderation.decision import QUARANTINED, Decision
from worker.domain.policies.policy import DEFAULT_QUEUE, Action, Policy

#: From this severity on, pictures count against a person's daily cap.
SEVERE: Final = 4
#: Reviews without a deadline are ordered as if they had this one, so that none waits for ever.
UNHURRIED: Final = timedelta(days=7)
_FIRST_HOUR: Final = datetime(2020, 1, 1, tzinfo=UTC)
_A_CENTURY: Final = timedelta(days=36_500)
_AN_HOUR: Final = timedelta(hours=1)


class ReviewKind(StrEnum):
    """Why a person is asked for a verdict."""

    #: The policy decided `review`.
    DECISION = "decision"
    #: The picture was allowed, and drawn for the audit sample.
    AUDIT = "audit"
    #: The picture crashed workers and could not be judged.
    QUARANTINE = "quarantine"
    #: The platform asks whether the decision was right.
    APPEAL = "appeal"
    #: A second person answers without knowing the first answer.
    SECOND = "second"
    #: The first and the second answer differ: a lead decides.
    DISAGREEMENT = "disagreement"
    #: The answer is known: it measures the reviewer.
    GOLDEN = "golden"

    @property
    def is_first(self) -> bool:
        """Whether it is the first review of a decision."""
        return self in {ReviewKind.DECISION, ReviewKind.AUDIT, ReviewKind.QUARANTINE}

    @property
    def decides(self) -> bool:
        """Whether the verdict comes into force; the other kinds only measure."""
        return self not in {ReviewKind.SECOND, ReviewKind.GOLDEN}

    @property
    def is_blind(self) -> bool:
        """Whether the reviewer sees neither earlier answers nor the kind of the review."""
        return self in {ReviewKind.SECOND, ReviewKind.GOLDEN}

    @property
    def is_impartial(self) -> bool:
        """Whether it is closed to reviewers who already answered about the submission."""
        return self in {ReviewKind.APPEAL, ReviewKind.SECOND, ReviewKind.DISAGREEMENT, ReviewKind.GOLDEN}


@dataclass(frozen=True, slots=True)
class Routing:
    """The queue, priority and deadline of a review."""

    queue: str
    #: Larger first.
    priority: float
    deadline_at: datetime | None


@dataclass(frozen=True, slots=True)
class ClaimToken:
    """Proof of a claim on a review: its fencing number, which a later claim supersedes."""

    review_id: int
    fence: int


def first_kind(action: Action, reason: str) -> ReviewKind:
    """Return the kind of a decision's first review; blind reviews are shown as this kind."""
    if reason.startswith(QUARANTINED):
        return ReviewKind.QUARANTINE
    return ReviewKind.AUDIT if action is Action.ALLOW else ReviewKind.DECISION


def kind_of_review(decision: Decision, *, drawn: bool) -> ReviewKind | None:
    """Return the kind of review that a decision needs, or None; `drawn` for the audit sample or not."""
    if decision.action is Action.REVIEW:
        return ReviewKind.DECISION
    return ReviewKind.AUDIT if drawn else None


def place_in_queue(policy: Policy, decision: Decision, now: datetime) -> Routing:
    """Route a decision's review as the policy says.

    It goes to the queue of the gravest flagged label that names one, or else to the policy's. The shortest
    time limit of the flagged labels is its deadline. Higher severity comes first, then an earlier hour of the
    deadline, then the score nearest to a threshold, which teaches most.
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
    """Return a decision's priority across policies: severity, then strongest score.

    Pictures that could not be judged have severity 0 and no score, and come last.
    """
    strongest = max((s.score for s in decision.scores if s.label in decision.flagged), default=0.0)
    return decision.severity + min(strongest, 0.999)


def order_of(severity: int, due_at: datetime, uncertainty: float = 0.5) -> float:
    """Return one sort key for all three; each counts only if the ones before it are equal.

    The hours of a century take 20 of a double's 53 bits, the severity 3; the rest is for the uncertainty.
    """
    hours = _A_CENTURY // _AN_HOUR
    left = min(max((due_at - _FIRST_HOUR) // _AN_HOUR, 0), hours - 1)
    return severity + (hours - 1 - left + min(uncertainty, 0.999)) / hours


def _uncertainty(policy: Policy, decision: Decision) -> float:
    """Return how near the flagged scores are to a threshold: 1 on it, 0 at a distance of 1."""
    flagged = set(decision.flagged)
    distances = [
        abs(found.score - threshold)
        for found in decision.scores
        if found.label in flagged
        for threshold in (policy.label(found.label).review, policy.label(found.label).block)
        if threshold is not None
    ]
    return 1 - min(distances, default=1.0)
