"""Hands the next review to a person, alone, with those that look nearly the same."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from worker.domain.reviewer import Reviewer
from worker.store.database import Database
from worker.store.reviews import Review, ReviewFilters


@dataclass(frozen=True, slots=True)
class Claim:
    """What a person has in hand: one review, and the open ones alike, each with a token of its own."""

    review: Review
    alike: tuple[Review, ...] = ()


@dataclass(frozen=True, slots=True)
class ClaimReview:
    """Claim a review for a person, for a while."""

    database: Database
    lease: timedelta
    #: From this cosine of the stored embeddings on, pictures are shown as one group.
    group_cosine: float
    #: The share, 0 to 1, of claims that are golden items.
    golden_share: float
    #: A number from 0 to 1, drawn by lot.
    chance: Callable[[], float] = random.random

    def __call__(
        self,
        reviewer: Reviewer,
        filters: ReviewFilters = ReviewFilters(),  # noqa: B008 - frozen
        *,
        review_id: int | None = None,
        grouped: bool = True,
    ) -> Claim | None:
        """Return the next review for `reviewer`, or None where there is none for them now.

        With `review_id` that one: UnknownReviewError where there is none, ReviewConflictError where somebody
        else has it or it is settled, ReviewNotAllowedError where it is not for this person: for a lead, of
        a label they opted out of, beyond their daily cap, or about what they answered before.
        """
        raise NotImplementedError
