"""A deployment's backlog: undecided submissions, undelivered events and open reviews, with their age."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from worker.domain.reviews.review import ReviewKind


@dataclass(frozen=True, slots=True)
class PendingCount:
    """A number of pending items, and since when the oldest waits: UTC, None if there are no items."""

    count: int = 0
    oldest_at: datetime | None = None

    def seconds(self, now: datetime) -> float:
        """Return how long the oldest has waited; 0 if there are no items."""
        return max(0.0, (now - self.oldest_at).total_seconds()) if self.oldest_at else 0.0


@dataclass(frozen=True, slots=True)
class Backlog:
    """The backlog that the database records."""

    #: When it was measured; UTC.
    at: datetime
    #: Accepted over HTTP or claimed by a worker, neither decided nor refused.
    undecided: PendingCount = PendingCount()
    #: Of those, submissions that are due to be published again, and since when.
    overdue: PendingCount = PendingCount()
    #: Of those, submissions whose policy is not in force on the workers that received them, by policy.
    without_policy: Mapping[str, PendingCount] = field(default_factory=dict)
    #: Messages that could not be inserted into the ledger, and since when they have been failing.
    set_aside: PendingCount = PendingCount()
    #: Of the undecided, submissions that wait for something unavailable, by its name.
    waiting_for: Mapping[str, PendingCount] = field(default_factory=dict)
    #: Events not yet delivered to the platform.
    outbox: PendingCount = PendingCount()
    #: Of those, events never attempted, since no process that saw them is allowed to call their callback.
    left_to_others: int = 0
    #: Events that could not be delivered and are no longer retried.
    given_up: int = 0
    #: Open reviews by kind.
    reviews: Mapping[ReviewKind, PendingCount] = field(default_factory=dict)
    #: Worker processes with a recent heartbeat.
    workers: int = 0
