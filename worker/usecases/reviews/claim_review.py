"""Claims the next review for a person, exclusively, together with those of nearly identical pictures."""

import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.orm import Session

from worker.domain.accounts.reviewer import Reviewer
from worker.domain.moderation.likeness import nearly_same
from worker.domain.reviews.review import SEVERE, ReviewKind
from worker.store.decisions import decisions, embeddings
from worker.store.engine.clock import database_now
from worker.store.engine.database import Database
from worker.store.reviews import audit_log, review_choice, review_claims, reviews
from worker.store.reviews.review_choice import Claimant
from worker.store.reviews.review_search import ReviewFilters
from worker.store.reviews.reviews import Review
from worker.usecases.policies.policy_behind import place_again

#: How many of the next reviews are compared with the claimed picture.
MAX_COMPARED: Final = 2048
#: How many similar pictures a person can judge at once.
MAX_ALIKE: Final = 29
#: Pictures whose vectors are in memory at once: 3 MiB of vectors of 512 numbers.
_CHUNK: Final = 1024
#: A golden item is dated at most this long before the review that it replaces.
_NEAR: Final = timedelta(seconds=30)
_NO_FILTERS: Final = ReviewFilters()
#: Kinds whose similar pictures may share an answer; the others are asked one by one.
_GROUPED: Final = frozenset({ReviewKind.DECISION, ReviewKind.AUDIT})


@dataclass(frozen=True, slots=True)
class ClaimedReviews:
    """The reviews a person has claimed: one, and the open ones of similar pictures; each has its token."""

    review: Review
    alike: tuple[Review, ...] = ()


@dataclass(frozen=True, slots=True)
class ClaimReview:
    """Claim a review for a person, for the time of a lease."""

    database: Database
    lease: timedelta
    #: Pictures whose embeddings have at least this cosine form one group.
    group_cosine: float
    #: The share, 0 to 1, of claims that are golden items.
    golden_share: float
    #: Returns a random number from 0 to 1.
    chance: Callable[[], float] = random.random

    def __call__(
        self,
        reviewer: Reviewer,
        filters: ReviewFilters = _NO_FILTERS,
        *,
        review_id: int | None = None,
        grouped: bool = True,
        while_holding: Collection[int] = (),
    ) -> ClaimedReviews | None:
        """Claim the next review for `reviewer`; None if no review is available to them.

        With `review_id`, claim that review. A review that they hold already keeps its token.
        UnknownReviewError if it does not exist; ReviewConflictError if it is settled or claimed by another
        person; ReviewNotAllowedError if it is not for this person: it is for a lead, has a label they opted
        out of, exceeds their daily cap, or is about what they answered before.

        With `while_holding`, return None also if they no longer hold any of those reviews.
        """
        review, is_new = self._claim_one(reviewer, filters, review_id, while_holding)
        if review is None or not is_new or not grouped:
            return ClaimedReviews(review) if review else None
        return ClaimedReviews(review, self._claim_alike(reviewer, review))

    def _claim_one(
        self,
        reviewer: Reviewer,
        filters: ReviewFilters,
        review_id: int | None,
        while_holding: Collection[int],
    ) -> tuple[Review | None, bool]:
        """Return the claimed review, and whether the claim is new."""
        with self.database.transaction() as session:
            review_choice.take_turns(session, reviewer.name)
            now = database_now(session)
            if while_holding and not _holds(session, reviewer, while_holding, now):
                return None, False
            claimant = _claimant(session, reviewer, now)
            if review_id is None:
                chosen = self._choose_next(session, claimant, filters, now)
                return (self._take(session, reviewer, [chosen], now)[0], True) if chosen else (None, False)
            review = review_choice.pick(session, claimant, review_id, now)
            if not review.is_held(now):
                return self._take(session, reviewer, [review_id], now)[0], True
            review_claims.renew(session, [review_id], now + self.lease)
            return reviews.by_ids(session, [review_id])[0], False

    def _claim_alike(self, reviewer: Reviewer, review: Review) -> tuple[Review, ...]:
        """Claim the free reviews of nearly identical pictures.

        Thousands of vectors are compared before the transaction that claims, so that no writer waits.
        """
        alike = self._nearly_same(reviewer, review)
        if not alike:
            return ()
        with self.database.transaction() as session:
            review_choice.take_turns(session, reviewer.name)
            now = database_now(session)
            claimant = _claimant(session, reviewer, now)
            wanted = _within_cap(claimant, alike)[:MAX_ALIKE]
            free = review_choice.free_among(session, claimant, wanted, now) if wanted else []
            return tuple(self._take(session, reviewer, free, now, beside=review.id))

    def _choose_next(
        self, session: Session, claimant: Claimant, filters: ReviewFilters, now: datetime
    ) -> int | None:
        """Return the id of the next review, or sometimes of a golden one that replaces it."""
        found = review_choice.next_for(session, claimant, filters, now)
        if found is None or self.chance() >= self.golden_share:
            return found
        golden = review_choice.golden_for(session, claimant, filters)
        if golden is None:
            return found
        # It seems to have waited about as long as the review that it replaces, with its picture's deadline.
        about = decisions.by_ids(session, [golden.decision_id])[golden.decision_id]
        since = self._shortly_before(session, reviews.by_ids(session, [found])[0])
        place = place_again(session, about, since)
        return review_choice.ask_golden(session, golden, claimant.reviewer.name, place, since)

    def _shortly_before(self, session: Session, review: Review) -> datetime:
        """Return a time between a review and the previous one; the same time would reveal a golden item."""
        since, earlier = review.created_at, review_choice.asked_before(session, review)
        gap = min(since - earlier, _NEAR) if earlier else _NEAR
        found = since - gap * (1 + self.chance()) / 3
        # SQLite's clock has milliseconds; a finer time would stand out among the others.
        step = 1 if since.microsecond % 1000 else 1000
        return found.replace(microsecond=found.microsecond // step * step)

    def _take(
        self,
        session: Session,
        reviewer: Reviewer,
        review_ids: Sequence[int],
        now: datetime,
        beside: int | None = None,
    ) -> list[Review]:
        """Claim free reviews, shown together with the review `beside`, and log the claim of each."""
        if not review_ids:
            return []
        review_claims.claim(session, review_ids, reviewer.name, now + self.lease)
        claimed = reviews.by_ids(session, review_ids)
        for review in claimed:
            _note(session, reviewer, review, beside)
        return claimed

    def _nearly_same(self, reviewer: Reviewer, review: Review) -> list[tuple[int, int]]:
        """Return id and severity of free reviews of nearly identical pictures, the most similar first."""
        decision = review.decision
        if review.kind not in _GROUPED or decision.sha256 is None:
            return []
        model = decision.model_digest
        alike: dict[str, float] = {}
        with self.database.reading() as session:
            picture = embeddings.find(session, decision.sha256, model)
            if picture is None:
                return []
            now = database_now(session)
            claimant = _claimant(session, reviewer, now)
            beside = review_choice.neighbours(session, claimant, review, now, MAX_COMPARED)
            # The same bytes can have been uploaded many times.
            digests = list(dict.fromkeys(sha256 for _, sha256, _ in beside))
            for start in range(0, len(digests), _CHUNK):
                chunk = digests[start : start + _CHUNK]
                names, others = embeddings.like(session, chunk, model, picture)
                found = nearly_same(picture.embedding, others, self.group_cosine)
                alike |= {names[row]: likeness for row, likeness in found.items()}
        likest = sorted((one for one in beside if one[1] in alike), key=lambda one: -alike[one[1]])
        return [(review_id, severity) for review_id, _, severity in likest]


def _holds(session: Session, reviewer: Reviewer, review_ids: Collection[int], now: datetime) -> bool:
    return any(one.id in review_ids for one in reviews.held_by(session, reviewer.name, now))


def _claimant(session: Session, reviewer: Reviewer, now: datetime) -> Claimant:
    if reviewer.severe_per_day is None:
        return Claimant(reviewer, None)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return Claimant(
        reviewer, reviewer.severe_per_day - audit_log.severe_shown(session, reviewer.name, midnight)
    )


def _within_cap(claimant: Claimant, found: Sequence[tuple[int, int]]) -> list[int]:
    """Return the ids, of pairs of id and severity, that the person's daily cap still allows."""
    left, wanted = claimant.severe_left, []
    for review_id, severity in found:
        if left is not None and severity >= SEVERE:
            if left <= 0:
                continue
            left -= 1
        wanted.append(review_id)
    return wanted


def _note(session: Session, reviewer: Reviewer, review: Review, beside: int | None) -> None:
    audit_log.note(
        session,
        reviewer.name,
        audit_log.CLAIMED,
        review_id=review.id,
        submission_id=review.decision.submission_id,
        fence=review.fence,
        kind=review.kind.value,
        action=review.decision.action.value,
        labels=list(review.decision.flagged),
        beside=beside,
    )
