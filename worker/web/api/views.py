"""Responses of the HTTP API, and how they are made from records."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, Field

from worker.domain.moderation.in_force import DecidedBy, InForce
from worker.domain.policies.policy import Action
from worker.notifications.decision_fields import decision_fields, listed_decision_fields
from worker.store.decisions.decisions import RecordedDecision
from worker.store.reviews.verdicts import RecordedVerdict
from worker.usecases.submissions.find_submission import KnownSubmission
from worker.web.http.problems import Problem

_SCORE = {
    "label": "weapons",
    "score": 0.98,
    "prompt": "a kitchen knife",
    "prompt_cosine": 0.31,
    "background": "a spoon",
    "background_cosine": 0.23,
    "frame": 0,
    "on_black": False,
    "part": 0,
    "text_added": 0.0,
}
_DECISION = {
    "id": 1042,
    "submission": "upload-7",
    "reference": "post-42",
    "context": {"author": 7},
    "text": "look at my new knife",
    "policy": "default",
    "policy_digest": "9f2c" * 16,
    "model_digest": "41b7" * 16,
    "action": "block",
    "labels": ["weapons"],
    "severity": 4,
    "reason": 'weapons 0.98 (block at 0.95): "a kitchen knife" beat "a spoon" by 0.080',
    "held_back": False,
    "sha256": "c0ffee00" * 8,
    "parts": 1,
    "area_share": 1.0,
    "time_share": 1.0,
    "decided_at": "2026-07-01T12:00:00.250000Z",
    "scores": [_SCORE],
}


#: By the names of the responses.
EXAMPLES: Final[dict[str, Any]] = {
    "DecisionView": _DECISION,
    "SubmissionView": {
        "id": "upload-7",
        "state": "decided",
        "action": "allow",
        "decided_by": "reviewer",
        "sequence": 2,
        "reference": "post-42",
        "policy": "default",
        "sha256": "c0ffee00" * 8,
        "source": {"kind": "url", "url": "https://cdn.example.com/cat.jpg", "query": "removed"},
        "context": {"author": 7},
        "text": "look at my new knife",
        "error": None,
        "created_at": "2026-07-01T12:00:00Z",
        "updated_at": "2026-07-01T12:00:00.250000Z",
        "decision": _DECISION,
        "verdict": {
            "id": 311,
            "action": "allow",
            "labels": [],
            "reason": "a kitchen",
            "inherited": False,
            "made_at": "2026-07-01T12:20:00Z",
        },
        "earlier_decisions": [],
    },
    "BatchAnswer": {
        "items": [
            {
                "id": "upload-7",
                "status": 202,
                "action": None,
                "decided_by": None,
                "sequence": 0,
                "problem": None,
            },
            {
                "id": "upload-8",
                "status": 422,
                "action": None,
                "decided_by": None,
                "sequence": None,
                "problem": {
                    "type": "about:blank",
                    "title": "Unprocessable Content",
                    "status": 422,
                    "detail": "there is no policy 'strict' that decides here",
                    "hint": "leave the policy out for the default one",
                    "errors": None,
                    "request_id": None,
                },
            },
        ]
    },
    "DecisionPage": {
        "decisions": [
            {
                **_DECISION,
                "action": "allow",
                "decided_by": "reviewer",
                "sequence": 2,
                "policy_action": "block",
            }
        ],
        "next_cursor": None,
    },
}


InForceAction = Annotated[
    Action | None,
    Field(description="The action in force now: act on this. Null while undecided, and if refused."),
]
InForceBy = Annotated[DecidedBy | None, Field(description="Who decided the action in force.")]
Sequence = Annotated[
    int,
    Field(
        description="Counts the changes of the submission: of two states, the one with the higher number is "
        "newer, in responses and events alike."
    ),
]


class ScoreView(BaseModel):
    """One label's score, and the two phrases that it is computed from."""

    label: str
    score: float = Field(description="0 to 1.")
    prompt: str = Field(description="The label's phrase most like the picture.")
    prompt_cosine: float
    background: str = Field(description="The harmless phrase most like the picture.")
    background_cosine: float
    frame: int = Field(description="Of an animation: the frame that scored highest, counted from 0.")
    on_black: bool = Field(description="Whether a transparent picture scored highest on a black background.")
    part: int = Field(
        description="Of a wide or tall picture: the part that scored highest; 0 is the left or top one."
    )
    text_added: float = Field(
        description="What the submission's text added to the label's logit, the number of which the score is "
        "the sigmoid; 0 if it added nothing."
    )


class DecisionView(BaseModel):
    """A policy's decision and its reason."""

    id: int
    submission: str
    reference: str
    context: dict[str, Any] | None = Field(description="The submission's context.")
    text: str = Field(description="The submission's text; empty if it has none, or if it was erased.")
    policy: str
    policy_digest: str
    model_digest: str
    action: Action
    labels: list[str] = Field(description="The flagged labels, gravest first.")
    severity: int = Field(description="1 to 5; 0 if nothing is flagged.")
    reason: str
    held_back: bool = Field(
        description="Whether a block became a review because the policy's hourly limit was reached."
    )
    sha256: str | None = Field(description="Of the picture; null if it could not be judged.")
    parts: int | None = Field(
        description="Squares along the long side of each frame that were judged; null if the picture was not "
        "judged, or was judged before this was recorded."
    )
    area_share: float | None = Field(
        description="Share of the picture's area that the parts cover. Null like `parts`."
    )
    time_share: float | None = Field(
        description="Share of an animation's display time that the judged frames cover; 1 for a still "
        "picture. Null like `parts`."
    )
    decided_at: datetime
    scores: list[ScoreView] = Field(
        description="In the policy's order. If there are more than 50 labels, those that reached their "
        "`review`, then the highest others, up to 50. Empty if nothing was judged."
    )


class ListedDecisionView(DecisionView):
    """A decision in a list, with the action now in force for its submission."""

    action: Action = Field(description="The action in force now: act on this.")
    decided_by: DecidedBy = Field(description="Who decided the action in force.")
    sequence: Sequence
    policy_action: Action = Field(description="What the policy decided.")


class VerdictView(BaseModel):
    """A person's answer, but not who gave it."""

    id: int
    action: Action
    labels: list[str] = Field(description="The labels that truly apply.")
    reason: str
    inherited: bool = Field(description="Given for the same bytes, uploaded before.")
    made_at: datetime


class SubmissionView(BaseModel):
    """A submission and its status."""

    id: str
    state: Literal["accepted", "decided", "refused"]
    action: InForceAction
    decided_by: InForceBy
    sequence: Sequence
    reference: str
    policy: str | None = Field(
        description="The requested policy, after the decision the one that decided; null is the default."
    )
    sha256: str | None
    source: dict[str, Any] | None = Field(
        description="Where the picture is, a URL without its query; null if it came with the submission."
    )
    context: dict[str, Any] | None
    text: str = Field(
        description="What accompanies the picture, such as its caption; empty if nothing does, or if it was "
        "erased."
    )
    error: str | None = Field(description="Why it was refused; null otherwise.")
    created_at: datetime
    updated_at: datetime
    decision: DecisionView | None = Field(
        description="The newest decision, which counts; null while undecided."
    )
    verdict: VerdictView | None = Field(
        description="A person's verdict, which replaces the decision; null before a verdict."
    )
    earlier_decisions: list[DecisionView] = Field(
        description="Decisions of earlier policy versions, newest first."
    )


class BatchItem(BaseModel):
    """The result of one submission of a batch."""

    id: str | None
    status: int = Field(description="202 accepted, 200 submitted before; otherwise the problem's.")
    action: InForceAction = None
    decided_by: InForceBy = None
    sequence: int | None = Field(None, description="Null if there is a problem.")
    problem: Problem | None = None


class BatchAnswer(BaseModel):
    """The result of each submission, in the order given."""

    items: list[BatchItem]


class DecisionPage(BaseModel):
    """Decisions, newest first."""

    decisions: list[ListedDecisionView]
    next_cursor: str | None = Field(
        description="For the next page; null at the end. There may be more although this page is not full."
    )


def decision_view(decision: RecordedDecision) -> DecisionView:
    """Return a decision as the API answers it."""
    return DecisionView.model_validate(decision_fields(decision))


def listed_decision_view(decision: RecordedDecision, state: InForce) -> ListedDecisionView:
    """Return a decision as a list shows it."""
    return ListedDecisionView.model_validate(listed_decision_fields(decision, state))


def submission_view(known: KnownSubmission) -> SubmissionView:
    """Return a submission as the API answers it."""
    entry, decisions = known.entry, [decision_view(decision) for decision in known.decisions]
    return SubmissionView(
        id=entry.id,
        state=known.state,
        action=known.in_force.action,
        decided_by=known.in_force.decided_by,
        sequence=known.in_force.sequence,
        reference=entry.reference,
        policy=entry.policy,
        sha256=entry.sha256,
        source=entry.source,
        context=entry.context,
        text=entry.text,
        # Only operators see why a submission is not judged yet.
        error=entry.error if known.state == "refused" else None,
        created_at=entry.created_at,
        updated_at=entry.updated_at,
        decision=decisions[0] if decisions else None,
        verdict=_verdict_view(known.verdict) if known.verdict else None,
        earlier_decisions=decisions[1:],
    )


def _verdict_view(verdict: RecordedVerdict) -> VerdictView:
    return VerdictView(
        id=verdict.id,
        action=verdict.action,
        labels=list(verdict.labels),
        reason=verdict.reason,
        inherited=verdict.inherited_from is not None,
        made_at=verdict.created_at,
    )
