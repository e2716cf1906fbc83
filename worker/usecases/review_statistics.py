"""How the queue stands, and how right its verdicts are: what a lead has to know."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from worker.domain.agreement import Agreement, Hits
from worker.domain.policy import Action
from worker.store.database import Database


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits in one queue."""

    queue: str
    open: int
    #: Of these: in somebody's hands, beyond their deadline, for a lead.
    claimed: int
    overdue: int
    for_lead: int
    oldest_at: datetime


@dataclass(frozen=True, slots=True)
class DayCount:
    """What one person answered on one day, in UTC."""

    #: YYYY-MM-DD.
    day: str
    reviewer: str
    action: Action
    count: int


@dataclass(frozen=True, slots=True)
class LabelCount:
    """How often people agreed with a label."""

    label: str
    #: Flagged, and answered by a person.
    flagged: int
    #: Of these, where it truly applied.
    right: int
    #: Not flagged, and a person found it.
    missed: int

    @property
    def precision(self) -> float | None:
        """The share of the flagged where the label applied; None where nothing was flagged."""
        return self.right / self.flagged if self.flagged else None


@dataclass(frozen=True, slots=True)
class Statistics:
    """How the queue and the verdicts stand."""

    since: datetime
    backlog: Sequence[Backlog]
    #: Oldest day first.
    throughput: Sequence[DayCount]
    labels: Sequence[LabelCount]
    #: First and second looks: on the action, on whether each label applies, and of each reviewer's.
    agreement: Agreement
    agreement_by_label: Mapping[str, Agreement]
    agreement_by_reviewer: Mapping[str, Agreement]
    #: Golden items: by reviewer on the action, and by label on whether it applies.
    golden_by_reviewer: Mapping[str, Hits]
    golden_by_label: Mapping[str, Hits]


@dataclass(frozen=True, slots=True)
class ReviewStatistics:
    """Count what is open now, and what was answered since a time."""

    database: Database

    def __call__(self, since: datetime) -> Statistics:
        """Return the statistics; verdicts that were taken back count nowhere."""
        raise NotImplementedError
