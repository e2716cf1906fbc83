"""Responses of the HTTP API about reviews and appeals, and how they are made from records."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from worker.domain.moderation.in_force import InForce
from worker.domain.policies.policy import Action
from worker.domain.reviews.agreement import Agreement, Hits
from worker.domain.reviews.review import ReviewKind
from worker.store.reviews.appeals import Appeal
from worker.store.reviews.reviews import Review
from worker.usecases.reviews.reverse_verdict import Reversal
from worker.usecases.reviews.review_statistics import Statistics
from worker.web.api.views import DecisionView, InForceAction, InForceBy, Sequence, decision_view


class ReviewView(BaseModel):
    """An open question for a person."""

    review: int
    claim: int = Field(
        description="The number of its last claim; the claim's holder sends it with an answer."
    )
    kind: ReviewKind
    queue: str
    priority: float = Field(description="Larger first.")
    created_at: datetime
    deadline_at: datetime | None
    for_lead: bool
    escalation: str | None = Field(description="Why it was escalated to a lead.")
    claimed_by: str | None
    claimed_until: datetime | None
    picture_changed_at: datetime | None = Field(
        description="When the source was found to have other bytes than those that were judged; null if "
        "it was not."
    )
    statement: str | None = Field(description="Of the person who appeals.")
    action: InForceAction = Field(
        description="The action in force for the submission. For a blind second review, the policy's action. "
        "`/v1/submissions` shows it with its sequence number."
    )
    decided_by: InForceBy
    decision: DecisionView


class ReviewPage(BaseModel):
    """Open reviews, in the order of the queue."""

    reviews: list[ReviewView]
    next_cursor: str | None = Field(
        description="For the next page; null at the end. There may be more although this page is not full."
    )


class ClaimedView(BaseModel):
    """The claimed reviews."""

    reviews: list[ReviewView] = Field(
        description="The next review, then those of pictures that look nearly the same; empty if nothing is "
        "open for this person."
    )


class RenewedView(BaseModel):
    """When the claims expire."""

    claimed_until: datetime


class SettledItem(BaseModel):
    """A review and the verdict that answers it."""

    review: int
    verdict: int
    submission: str
    picture_seen: bool = Field(
        description="Whether the person saw the bytes that were judged. If not, the verdict holds for this "
        "submission alone: nothing inherits it, and no policy is measured by it."
    )


class SettledView(BaseModel):
    """The verdicts that were recorded."""

    verdicts: list[SettledItem]


class ReversedView(BaseModel):
    """The verdicts that were reversed, and the reviews that are open again."""

    verdicts: list[int] = Field(description="The one requested, then those that depended on it.")
    reopened: list[ReviewView] = Field(
        description="The reviews that are open again; a person who reversed their own verdict holds them."
    )


class BacklogView(BaseModel):
    """The open reviews of one queue."""

    queue: str
    open: int
    claimed: int
    overdue: int
    for_lead: int
    oldest_at: datetime


class DayView(BaseModel):
    """What one person answered on one day, in UTC."""

    day: str
    reviewer: str
    action: Action
    count: int


class LabelView(BaseModel):
    """How often people agreed with a label."""

    label: str
    flagged: int
    right: int
    precision: float | None
    missed: int = Field(description="Not flagged, but a person found that it applies.")


class AgreementView(BaseModel):
    """Agreement of first and blind second reviews."""

    pairs: int
    agreeing: int
    kappa: float | None = Field(
        description="Cohen's kappa: 1 is full agreement, 0 is chance; null if it is undefined."
    )


class HitsView(BaseModel):
    """Answers to golden items."""

    asked: int
    right: int
    accuracy: float | None


class StatisticsView(BaseModel):
    """The state of the queue, and the quality of the verdicts."""

    since: datetime
    backlog: list[BacklogView]
    throughput: list[DayView]
    labels: list[LabelView]
    agreement: AgreementView
    agreement_by_label: dict[str, AgreementView]
    agreement_by_reviewer: dict[str, AgreementView]
    golden_by_reviewer: dict[str, HitsView]
    golden_by_label: dict[str, HitsView]


class AppealView(BaseModel):
    """An appeal and its state, but not who answered."""

    id: int
    decision: int
    submission: str
    state: Literal["open", "answered"]
    statement: str
    appealed_action: Action = Field(description="The action in force when the appeal was opened.")
    outcome: Literal["upheld", "overturned"] | None = Field(description="Null while it is open.")
    action: InForceAction
    decided_by: InForceBy
    sequence: Sequence
    answer: Action | None = Field(description="What the person answered; null while it is open.")
    labels: list[str] | None
    reason: str | None
    created_at: datetime
    answered_at: datetime | None


def review_view(review: Review, state: InForce) -> ReviewView:
    """Return a review as its reviewer may see it: blind second reviews and golden items look like others."""
    review = review.blinded
    return ReviewView(
        review=review.id,
        claim=review.fence,
        kind=review.kind,
        queue=review.queue,
        priority=review.priority,
        created_at=review.created_at,
        deadline_at=review.deadline_at,
        for_lead=review.for_lead,
        escalation=review.escalation,
        claimed_by=review.claimed_by,
        claimed_until=review.claimed_until,
        picture_changed_at=review.picture_changed_at,
        statement=review.statement,
        action=state.action,
        decided_by=state.decided_by,
        decision=decision_view(review.decision),
    )


def reversed_view(undone: Reversal, states: Mapping[int, InForce]) -> ReversedView:
    """Return a reversal; `states` are those of the reviews that are open again."""
    return ReversedView(
        verdicts=list(undone.verdict_ids),
        reopened=[review_view(one, states[one.id]) for one in undone.reopened],
    )


def statistics_view(found: Statistics) -> StatisticsView:
    """Return the statistics as the API answers them."""
    return StatisticsView(
        since=found.since,
        backlog=[
            BacklogView(
                queue=one.queue,
                open=one.open,
                claimed=one.claimed,
                overdue=one.overdue,
                for_lead=one.for_lead,
                oldest_at=one.oldest_at,
            )
            for one in found.backlog
        ],
        throughput=[
            DayView(day=one.day, reviewer=one.reviewer, action=one.action, count=one.count)
            for one in found.throughput
        ],
        labels=[
            LabelView(
                label=one.label,
                flagged=one.flagged,
                right=one.right,
                precision=one.precision,
                missed=one.missed,
            )
            for one in found.labels
        ],
        agreement=_agreement(found.agreement),
        agreement_by_label={name: _agreement(one) for name, one in found.agreement_by_label.items()},
        agreement_by_reviewer={name: _agreement(one) for name, one in found.agreement_by_reviewer.items()},
        golden_by_reviewer=_hits(found.golden_by_reviewer),
        golden_by_label=_hits(found.golden_by_label),
    )


def appeal_view(appeal: Appeal, state: InForce) -> AppealView:
    """Return an appeal as the API answers it."""
    upheld = "upheld" if appeal.action is appeal.appealed_action else "overturned"
    return AppealView(
        id=appeal.id,
        decision=appeal.decision_id,
        submission=appeal.submission_id,
        state="open" if appeal.action is None else "answered",
        statement=appeal.statement,
        appealed_action=appeal.appealed_action,
        outcome=None if appeal.action is None else upheld,
        action=state.action,
        decided_by=state.decided_by,
        sequence=state.sequence,
        answer=appeal.action,
        labels=None if appeal.labels is None else list(appeal.labels),
        reason=appeal.reason,
        created_at=appeal.created_at,
        answered_at=appeal.answered_at,
    )


def _agreement(one: Agreement) -> AgreementView:
    return AgreementView(pairs=one.pairs, agreeing=one.agreeing, kappa=one.kappa)


def _hits(found: Mapping[str, Hits]) -> dict[str, HitsView]:
    return {
        name: HitsView(asked=one.asked, right=one.right, accuracy=one.accuracy) for name, one in found.items()
    }
