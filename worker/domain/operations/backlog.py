"""What waits in a deployment, and since when: to be decided, to be told to the platform, to be reviewed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from worker.domain.reviews.review import ReviewKind


@dataclass(frozen=True, slots=True)
class PendingCount:
    """So many of something, and since when the oldest waits; UTC, None where there is none."""

    count: int = 0
    oldest_at: datetime | None = None

    def seconds(self, now: datetime) -> float:
        """Return how long the oldest has waited; 0 where there is none."""
        return max(0.0, (now - self.oldest_at).total_seconds()) if self.oldest_at else 0.0


@dataclass(frozen=True, slots=True)
class Backlog:
    """What the database says waits."""

    #: When this was so; UTC.
    at: datetime
    #: Accepted over HTTP or claimed by a worker, neither decided nor refused.
    undecided: PendingCount = PendingCount()
    #: Of those, whose time has come to be put on the queue again, and since when it has.
    overdue: PendingCount = PendingCount()
    #: Of those, what names a policy that is not in force where it arrived, by policy.
    without_policy: Mapping[str, PendingCount] = field(default_factory=dict)
    #: Messages that cannot be entered into the ledger, and since when they have been failing.
    set_aside: PendingCount = PendingCount()
    #: Of the undecided, those that wait for something unavailable, by what that is.
    waiting_for: Mapping[str, PendingCount] = field(default_factory=dict)
    #: Events that the platform has yet to be told.
    outbox: PendingCount = PendingCount()
    #: Of those, which no process tried yet, since the settings of those that saw it allow no such callback.
    left_to_others: int = 0
    #: Events that could not be delivered and are no longer tried.
    given_up: int = 0
    #: Open questions by kind.
    reviews: Mapping[ReviewKind, PendingCount] = field(default_factory=dict)
    #: Worker processes that were heard of lately.
    workers: int = 0
