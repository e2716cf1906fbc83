"""Records what a person answers, for one review or for several alike, with all that follows from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from worker.domain.review import ClaimToken
from worker.domain.reviewer import Reviewer
from worker.domain.verdict import Answer
from worker.store.database import Database


@dataclass(frozen=True, slots=True)
class Settled:
    """A review that is answered, and the verdict that answers it."""

    review_id: int
    verdict_id: int
    submission_id: str


@dataclass(frozen=True, slots=True)
class SettleReview:
    """Settle claimed reviews, all or none."""

    database: Database
    #: Whom to tell about submissions that name nobody: a callback's record; None tells nobody.
    callback: Mapping[str, Any] | None = None

    def __call__(
        self,
        reviewer: Reviewer,
        tokens: Sequence[ClaimToken],
        answer: Answer,
        shown: Mapping[str, Any] | None = None,
    ) -> list[Settled]:
        """Give one answer to all of these; `shown` is what the person saw, for the audit log.

        ReviewConflictError where somebody was first, or the claim is held no more; InvalidVerdictError where
        the answer is none that the policy allows; UnknownReviewError where there is no such review. The same
        answer sent again by the same person is answered as the first time.
        """
        raise NotImplementedError
