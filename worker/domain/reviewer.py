"""A reviewer: a person who answers reviews, and what they may see."""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a person may do; each may do all that the one before may."""

    REVIEWER = "reviewer"
    #: Answers what is escalated, and sees how the queue and the verdicts stand.
    LEAD = "lead"
    #: Manages accounts too.
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Reviewer:
    """A person at the review desk."""

    name: str
    role: Role = Role.REVIEWER
    #: Labels whose pictures this person is not shown.
    opt_outs: frozenset[str] = frozenset()
    #: Severe pictures that this person is shown a day at most; None for no limit.
    severe_per_day: int | None = None

    @property
    def is_lead(self) -> bool:
        """Whether this person answers what is escalated."""
        return self.role in {Role.LEAD, Role.ADMIN}
