"""Shows the queue: pages of open reviews, one review, and what is in force on reviewed submissions."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from worker.domain.accounts.reviewer import Reviewer
from worker.domain.moderation.in_force import InForce
from worker.store.engine.clock import database_now
from worker.store.engine.database import Database
from worker.store.reviews import in_force, review_claims, review_counts, review_search, reviews
from worker.store.reviews.review_counts import OpenReviews
from worker.store.reviews.review_search import Place, ReviewFilters, ReviewsFound
from worker.store.reviews.reviews import OPEN, Review


@dataclass(frozen=True, slots=True)
class ReviewPage:
    """A page of open reviews, for a platform's own desk."""

    reviews: Sequence[Review]
    #: By review id; for a blind review, what its policy decided.
    in_force: Mapping[int, InForce]
    #: Where the next page begins; None at the end.
    next: Place | None


@dataclass(frozen=True, slots=True)
class OpenForOperators:
    """Open reviews, with what reviewers must not know: the true kinds, and what is in force."""

    reviews: Sequence[Review]
    #: By submission id.
    in_force: Mapping[str, InForce]
    #: The database's time.
    now: datetime


@dataclass(frozen=True, slots=True)
class Queue:
    """The queue as a person sees it."""

    found: ReviewsFound
    #: Numbers of all open reviews, whatever the filters.
    waiting: OpenReviews
    #: The reviews that the person has claimed.
    held: Sequence[Review]
    #: The database's time.
    now: datetime


@dataclass(frozen=True, slots=True)
class KnownReview:
    """A review as a person may know it who has not claimed it."""

    review: Review
    #: Whether no person has claimed it.
    is_free: bool


@dataclass(frozen=True, slots=True)
class BrowseReviews:
    """Show reviews; nothing is written, and each answer is one snapshot of the database."""

    database: Database

    def page(self, filters: ReviewFilters, *, after: Place | None = None, limit: int) -> ReviewPage:
        """Return at most `limit` open reviews after `after`, in the queue's order."""
        with self.database.reading() as session:
            found = review_search.search(session, filters, after=after, limit=limit)
            return ReviewPage(found.reviews, in_force.of_reviews(session, found.reviews), found.next)

    def for_operators(self, filters: ReviewFilters, *, limit: int) -> OpenForOperators:
        """Return `limit` open reviews, or all if there are fewer, in the queue's order."""
        with self.database.reading() as session:
            found, now = review_search.page(session, filters, limit=limit), database_now(session)
            states = in_force.of_submissions(session, {one.decision.submission_id for one in found})
        return OpenForOperators(found, states, now)

    def queue(self, filters_at: Callable[[datetime], ReviewFilters], *, limit: int, seen_by: str) -> Queue:
        """Return the queue as this person sees it; `filters_at` makes the filters at the database's time."""
        with self.database.reading() as session:
            now = database_now(session)
            return Queue(
                review_search.search(session, filters_at(now), limit=limit, seen_by=seen_by),
                review_counts.waiting(session, now, seen_by=seen_by),
                reviews.held_by(session, seen_by, now),
                now,
            )

    def known_to(self, reviewer: Reviewer, review_id: int) -> KnownReview | None:
        """Return a review in any state; None if there is none, or the person may not know that there is."""
        with self.database.reading() as session:
            found, now = reviews.find(session, review_id), database_now(session)
            if found is None or not review_claims.may_know(session, found, reviewer):
                return None
        if review_claims.is_escalated_golden(found):
            found = replace(found, state=OPEN, for_lead=True)
        return KnownReview(found, is_free=found.state == OPEN and not found.is_held(now))

    def flagged(self, review_id: int) -> frozenset[str]:
        """Return the labels that the decision under review flagged; none if there is no such review."""
        with self.database.reading() as session:
            found = reviews.find(session, review_id)
        return frozenset(found.decision.flagged) if found else frozenset()

    def in_force(self, some: Collection[Review]) -> dict[int, InForce]:
        """Return what is in force, by review id; for a blind review, what its policy decided."""
        with self.database.reading() as session:
            return in_force.of_reviews(session, some)
