"""What happened to one submission at the review desk, in order."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from worker.domain.reviewer import Reviewer
from worker.store.database import Database


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happened."""

    at: datetime
    #: A person's name, or the policy's.
    actor: str
    #: decision.made, review.claimed, verdict.made ...
    what: str
    review_id: int | None
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SubmissionHistory:
    """Tell the history of a submission."""

    database: Database

    def __call__(self, submission_id: str, seen_by: Reviewer | None = None) -> list[Happening]:
        """Return what happened, oldest first; [] where nothing is known of it.

        Nothing of golden items; and to a person who has a blind review of this very submission in hand,
        nothing of what others answered.
        """
        raise NotImplementedError
