"""A submission's state in force: the action, who decided it, and the sequence number of the change."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from worker.domain.policies.policy import Action


class DecidedBy(StrEnum):
    """Who decided the action in force."""

    #: The policy, or its `on_error` if the picture could not be judged.
    POLICY = "policy"
    #: A person, who answered a review.
    REVIEWER = "reviewer"
    #: A person, who answered an appeal.
    APPEAL = "appeal"
    #: A person, who answered a review of the same bytes in another submission.
    INHERITED_VERDICT = "inherited_verdict"


@dataclass(frozen=True, slots=True)
class InForce:
    """The state of a submission after one of its changes."""

    #: Counts the submission's changes: of two states, the one with the higher number is newer.
    sequence: int
    #: None while the submission is undecided, and if it was refused.
    action: Action | None = None
    decided_by: DecidedBy | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the state as JSON types, under the names that every interface uses."""
        return {
            "action": self.action and self.action.value,
            "decided_by": self.decided_by and self.decided_by.value,
            "sequence": self.sequence,
        }
