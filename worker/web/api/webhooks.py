"""OpenAPI descriptions of the events that the service sends; no route here answers a request."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Header
from pydantic import BaseModel, Field

from worker.domain.operations.event_type import EventType
from worker.domain.policies.policy import Action
from worker.notifications.example_events import example_event
from worker.web.api.views import DecisionView, InForceAction, InForceBy, Sequence


class Event(BaseModel):
    """The fields that every event has."""

    id: str = Field(description="The same if the event is sent again: deduplicate by it.")
    timestamp: datetime
    submission: str
    action: InForceAction
    decided_by: InForceBy
    sequence: Sequence
    test: bool = Field(False, description="Whether `moderate outbox send-test` sent it.")


class DecisionData(BaseModel):
    """The policy's decision and its submission."""

    submission: str
    reference: str
    context: dict[str, Any] | None
    decision: DecisionView


class DecisionMade(Event):
    """A policy decided."""

    type: Literal[EventType.DECISION_MADE]
    data: DecisionData


class EventVerdict(BaseModel):
    """A person's answer, but not who gave it."""

    verdict: int
    decision: int
    action: Action
    labels: list[str]
    reason: str
    inherited: bool = Field(description="Given for the same bytes, uploaded before.")
    made_at: datetime


class VerdictData(DecisionData):
    """The decision, and the verdict on it."""

    verdict: EventVerdict


class VerdictMade(Event):
    """A person answered a review, or the same bytes inherited such an answer."""

    type: Literal[EventType.VERDICT_MADE]
    data: VerdictData


class EventReversal(EventVerdict):
    """A verdict that was reversed; `action` is in force since."""

    reversed_action: Action
    reversed_at: datetime


class ReversalData(DecisionData):
    """The decision, and the reversed verdict."""

    verdict: EventReversal


class VerdictReversed(Event):
    """A verdict was reversed."""

    type: Literal[EventType.VERDICT_REVERSED]
    data: ReversalData


class EventAnswer(EventVerdict):
    """The verdict that answers an appeal."""

    appeal: int
    outcome: Literal["upheld", "overturned"]


class AnswerData(DecisionData):
    """The decision that was appealed, and the answer."""

    verdict: EventAnswer


class AppealAnswered(Event):
    """A person answered an appeal; a `verdict.made` event carries the verdict itself."""

    type: Literal[EventType.APPEAL_ANSWERED]
    data: AnswerData


class RefusedSubmission(BaseModel):
    """A submission without a decision."""

    id: str
    reference: str
    context: dict[str, Any] | None
    policy: str | None


class RefusalData(BaseModel):
    """Which submission, and why no policy can decide it."""

    submission: RefusedSubmission
    problem: str


class SubmissionRefused(Event):
    """No policy can decide a submission that was accepted; `action` and `decided_by` are null."""

    type: Literal[EventType.SUBMISSION_REFUSED]
    data: RefusalData


#: By type, in the order in which they can happen.
EVENTS: Final[dict[EventType, type[Event]]] = {
    EventType.DECISION_MADE: DecisionMade,
    EventType.VERDICT_MADE: VerdictMade,
    EventType.VERDICT_REVERSED: VerdictReversed,
    EventType.APPEAL_ANSWERED: AppealAnswered,
    EventType.SUBMISSION_REFUSED: SubmissionRefused,
}
EXAMPLES: Final[dict[str, Any]] = {model.__name__: example_event(kind) for kind, model in EVENTS.items()}

_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    204: {"description": "The event was received; any 2xx will do."},
    410: {"description": "You do not want this event; it is not sent again."},
    "default": {"description": "The event is sent again, after `Retry-After` if given (an hour at most)."},
}


def _describe(kind: EventType, model: type[Event]) -> None:
    def receive(
        body: Any,
        webhook_id: Annotated[str, Header(description="The event's `id`.")],
        webhook_timestamp: Annotated[int, Header(description="When it was sent, in Unix seconds.")],
        webhook_signature: Annotated[
            str, Header(description="As specified by https://www.standardwebhooks.com.")
        ],
    ) -> None:
        pass

    receive.__annotations__["body"] = model
    receive.__doc__ = f"{model.__doc__}\n\nAct on `action` unless you have seen a higher `sequence`."
    add = router.post(
        kind.value, summary=kind.value, status_code=204, responses=_ANSWERS, operation_id=kind.value
    )
    add(receive)


router = APIRouter(tags=["events"])
for _kind, _model in EVENTS.items():
    _describe(_kind, _model)
