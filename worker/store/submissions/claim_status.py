"""Which submissions that reach a worker may be claimed, and with which result."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Final

from worker.store.submissions.arrivals import Arrival, Known

#: After this number of crashes a submission is poison, and not judged any more.
MAX_CRASHES: Final = 3
#: After this number of other failed attempts a submission is not retried.
MAX_FAILURES: Final = 3


class ClaimStatus(Enum):
    """The status of a submission when it reaches a worker."""

    #: This process has claimed it now.
    CLAIMED = auto()
    #: Decided, and no second judgement was requested since.
    DECIDED = auto()
    #: Already claimed, or waiting for its next attempt; the ledger publishes it again if necessary.
    IN_FLIGHT = auto()
    #: The id belongs to another submission; recorded in `submission_conflicts`.
    CONFLICT = auto()
    #: A worker crashed on it: only a process that judges nothing else may claim it.
    CRASHED = auto()
    #: Too many workers crashed on it.
    POISON = auto()
    #: Too many attempts failed.
    FAILING = auto()
    #: Its policy is not in force here: the ledger publishes it again after a pause.
    NO_POLICY = auto()
    #: Its policy did not come into force in time: to be refused.
    NO_POLICY_IN_TIME = auto()


@dataclass(frozen=True, slots=True)
class ClaimResult:
    """Result of a claim."""

    status: ClaimStatus
    #: How often it was claimed, including this time.
    attempts: int = 0
    crashes: int = 0
    #: Time since the ledger recorded the submission or, if it is judged again, the request for that.
    age: timedelta = field(default=timedelta(), compare=False)
    #: The trace that the submission belongs to, from the ledger.
    traceparent: str | None = field(default=None, compare=False)
    #: Since when it has been undecided; None if this is a second judgement.
    since: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Claimant:
    """A process that claims submissions."""

    process: str
    holds: Callable[[str], bool]
    alone: bool
    now: datetime

    def is_expired(self, known: Known) -> bool:
        """Whether another process's lease has expired."""
        return known.claimed_by not in {None, self.process} and not self._is_leased(known)

    def status(self, known: Known, arrival: Arrival) -> ClaimStatus:
        """Return the status of an undecided submission that matches its ledger row."""
        if self._is_mine(known):
            if self.holds(known.id):
                return ClaimStatus.IN_FLIGHT
        elif self._is_leased(known):
            return ClaimStatus.IN_FLIGHT
        if arrival.policy_digest is None:
            is_late = known.refuse_at is not None and known.refuse_at <= self.now
            return ClaimStatus.NO_POLICY_IN_TIME if is_late else ClaimStatus.NO_POLICY
        if known.crashes >= MAX_CRASHES:
            return ClaimStatus.POISON
        # This process's last release could not be recorded: that does not count as a failed attempt.
        if known.failures - self._is_mine(known) >= MAX_FAILURES:
            return ClaimStatus.FAILING
        return ClaimStatus.CRASHED if known.crashes and not self.alone else ClaimStatus.CLAIMED

    def _is_mine(self, known: Known) -> bool:
        return known.claimed_by == self.process

    def _is_leased(self, known: Known) -> bool:
        return known.claimed_until is not None and known.claimed_until > self.now
