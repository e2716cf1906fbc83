"""Takes a verdict back, and undoes all that came of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from worker.domain.reviewer import Reviewer
from worker.store.database import Database
from worker.store.reviews import Review


@dataclass(frozen=True, slots=True)
class Reversal:
    """What was undone."""

    #: Those asked for, then those that had been inherited from them.
    verdict_ids: tuple[int, ...]
    #: The reviews that are open again; in the hands of whoever took back their own verdict.
    reopened: tuple[Review, ...]


@dataclass(frozen=True, slots=True)
class ReverseVerdict:
    """Reverse a verdict, or all that were given with it at one look."""

    database: Database
    lease: timedelta
    #: As in SettleReview.
    callback: Mapping[str, Any] | None = None

    def __call__(
        self, reviewer: Reviewer, verdict_id: int, *, whole_group: bool = False, reason: str = ""
    ) -> Reversal:
        """Reverse it: its review is open again, what it led to is withdrawn, what inherited it is undone.

        UnknownReviewError where there is no such verdict, ReviewNotAllowedError where it is somebody else's
        and `reviewer` no lead, ReviewConflictError where it was reversed before or another verdict rests
        on it.
        """
        raise NotImplementedError
