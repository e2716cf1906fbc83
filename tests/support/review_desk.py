"""Decisions for people to review, as workers record them, and the desk's use cases around them."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
from moderation_client.callback import callback_of
from moderation_client.submission import LocalFile, Submission
from support.decided_submission import add_decided

from worker.domain.accounts.reviewer import Reviewer, Role
from worker.domain.moderation.decision import Decision, decide
from worker.domain.moderation.picture import PictureFacts
from worker.domain.moderation.scoring import LabelScore
from worker.domain.policies.policy import Action, Policy
from worker.domain.reviews.review import ReviewKind, kind_of_review, place_in_queue
from worker.policy_files.parser import parse_policy
from worker.store.engine.database import Database
from worker.store.reviews import review_search, reviews
from worker.usecases.moderation.decision_events import write_decision_events
from worker.usecases.moderation.inherit_verdict import Heir, InheritVerdict
from worker.usecases.reviews.appeals import Appeals
from worker.usecases.reviews.claim_review import ClaimedReviews, ClaimReview
from worker.usecases.reviews.held_claims import HeldClaims
from worker.usecases.reviews.reverse_verdict import ReverseVerdict
from worker.usecases.reviews.settle_review import SettleReview

LEASE = timedelta(minutes=5)
POLICY_TEXT = """
name: default
background: [an everyday scene]
labels:
  weapons:
    prompts: [a handgun]
    block: 0.99
    severity: 4
  gore:
    prompts: [a bloody wound]
    severity: 5
    queue: urgent
    review_within_minutes: 30
    needs_reason: true
  alcohol:
    prompts: [a bottle of wine]
    severity: 2
  twice:
    prompts: [a leaflet]
    severity: 3
    second_review: 1
"""
POLICY = parse_policy(POLICY_TEXT, "default.yaml")
ADA, BOB, CLEO = Reviewer("ada"), Reviewer("bob"), Reviewer("cleo")
LEA = Reviewer("lea", Role.LEAD)


def scored(policy: Policy = POLICY, **scores: float) -> Decision:
    """Return the policy's decision for these scores; all other labels score nearly 0."""
    return decide(
        policy,
        [
            LabelScore(label.name, scores.get(label.name, 0.01), label.prompts[0], 0.3, "a scene", 0.2)
            for label in policy.labels
        ],
    )


@dataclass
class Desk:
    """A database with a review queue, and the use cases around it."""

    database: Database
    group_cosine: float = 0.98
    golden_share: float = 0.0
    lease: timedelta = LEASE
    callback: dict[str, str] | None = None
    inherits: bool = True
    #: The result of every random draw.
    drawn: float = 0.5
    count: int = field(default=0)

    def decide(  # noqa: PLR0913
        self,
        *,
        action: Action | None = None,
        drawn: bool = False,
        sha256: str | None = None,
        vector: list[float] | None = None,
        policy: Policy = POLICY,
        text: str = POLICY_TEXT,
        submission_id: str = "",
        **scores: float,
    ) -> int:
        """Record a decision with its events and review, as a worker does; return its id."""
        self.count += 1
        what = Submission(
            submission_id or f"upload-{self.count}", LocalFile("a.png"), reference=f"post-{self.count}"
        )
        decision = Decision(action, "not judged") if action else scored(policy, **scores)
        sha256 = sha256 or f"{self.count:064x}"
        facts = PictureFacts(sha256, "PNG", 64, 48, frames=1)
        inherit = InheritVerdict(self.inherits)
        with self.database.transaction() as session:
            decision_id = add_decided(
                session,
                what,
                policy,
                decision,
                facts=None if action else facts,
                vectors=None if vector is None else np.array([vector]),
                sha256=sha256,
                text=text,
                again=True,
            )
            heir = Heir(what.id, decision_id, sha256, policy.digest)
            inherited = inherit(session, [] if action else [heir])
            write_decision_events(session, [(what, decision_id)], inherited, callback_of(self.callback))
            kind = kind_of_review(decision, drawn=drawn)
            if kind and not inherited:
                place = place_in_queue(policy, decision, datetime.now(UTC))
                reviews.ask(session, decision_id, kind, place)
        return decision_id

    def claim(self, reviewer: Reviewer, *arguments, **options) -> ClaimedReviews | None:
        claim = ClaimReview(
            self.database, self.lease, self.group_cosine, self.golden_share, lambda: self.drawn
        )
        return claim(reviewer, *arguments, **options)

    @property
    def settle(self) -> SettleReview:
        return SettleReview(self.database, self.callback)

    @property
    def reverse(self) -> ReverseVerdict:
        return ReverseVerdict(self.database, self.lease, self.callback)

    @property
    def skip(self):
        return HeldClaims(self.database, self.lease).skip

    @property
    def escalate(self):
        return HeldClaims(self.database, self.lease).escalate

    @property
    def release(self):
        return HeldClaims(self.database, self.lease).release

    @property
    def renew(self):
        return HeldClaims(self.database, self.lease).renew

    @property
    def appeal(self):
        return Appeals(self.database).open

    def answer(self, reviewer: Reviewer, answer, kind: ReviewKind | None = None, **options) -> int:
        """Claim the next review, settle it, and return the verdict's id."""
        claim = self.claim(reviewer, **options)
        assert claim is not None
        assert kind in {None, claim.review.kind}
        (settled,) = self.settle(reviewer, [claim.review.token], answer)
        return settled.verdict_id

    def answer_held(self, reviewer: Reviewer, answer) -> int:
        """Settle the only review that a person has claimed, and return the verdict's id."""
        with self.database.reading() as session:
            (review,) = reviews.held_by(session, reviewer.name, datetime.now(UTC))
        (settled,) = self.settle(reviewer, [review.token], answer)
        return settled.verdict_id

    def open(self) -> list[tuple[str, str]]:
        """Return kind and submission of the open reviews, in the order of the queue."""
        with self.database.reading() as session:
            found = review_search.page(session, review_search.ReviewFilters(), limit=1000)
        return [(review.kind.value, review.decision.submission_id) for review in found]
