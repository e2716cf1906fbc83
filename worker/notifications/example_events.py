"""An example of every event, for the OpenAPI document and `moderate outbox send-test`."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from worker.domain.moderation.in_force import DecidedBy, InForce
from worker.domain.moderation.scoring import LabelScore
from worker.domain.operations.event_type import EventType
from worker.domain.policies.policy import Action
from worker.notifications.events import EventFields, Payload, decision_data, payload, refusal_data
from worker.store.decisions.decisions import RecordedDecision
from worker.store.submissions.submissions import LedgerEntry

_DECIDED_AT: Final = datetime(2026, 7, 1, 12, 0, 0, 250_000, UTC)
_DECISION: Final = RecordedDecision(
    id=1042,
    submission_id="upload-7",
    reference="post-42",
    context={"author": 7},
    text="look at my new knife",
    policy="default",
    policy_digest="9f2c" * 16,
    model_digest="41b7" * 16,
    action=Action.BLOCK,
    flagged=("weapons",),
    severity=4,
    reason='weapons 0.98 (block at 0.95): "a kitchen knife" beat "a spoon" by 0.080',
    held_back=False,
    sha256="c0ffee00" * 8,
    parts=1,
    area_share=1.0,
    time_share=1.0,
    created_at=_DECIDED_AT,
    scores=(LabelScore("weapons", 0.98, "a kitchen knife", 0.31, "a spoon", 0.23),),
)
_VERDICT: Final[dict[str, Any]] = {
    "verdict": 311,
    "decision": _DECISION.id,
    "action": "allow",
    "labels": [],
    "reason": "a kitchen",
    "inherited": False,
    "made_at": "2026-07-01T12:20:00+00:00",
}
_REVERSAL: Final[dict[str, Any]] = {
    **_VERDICT,
    "action": "block",
    "reversed_action": "allow",
    "reason": "the wrong picture",
    "reversed_at": "2026-07-01T12:25:00+00:00",
}
_VERDICTS: Final[dict[EventType, dict[str, Any]]] = {
    EventType.VERDICT_MADE: _VERDICT,
    EventType.VERDICT_REVERSED: _REVERSAL,
    EventType.APPEAL_ANSWERED: {**_VERDICT, "appeal": 12, "outcome": "overturned"},
}
_STATES: Final[dict[EventType, InForce]] = {
    EventType.DECISION_MADE: InForce(1, Action.BLOCK, DecidedBy.POLICY),
    EventType.VERDICT_MADE: InForce(2, Action.ALLOW, DecidedBy.REVIEWER),
    EventType.VERDICT_REVERSED: InForce(3, Action.BLOCK, DecidedBy.POLICY),
    EventType.APPEAL_ANSWERED: InForce(5, Action.ALLOW, DecidedBy.APPEAL),
    EventType.SUBMISSION_REFUSED: InForce(1),
}
_REFUSED: Final = LedgerEntry(
    id="upload-7",
    reference="post-42",
    policy="strict",
    sha256=None,
    source={"kind": "file", "path": "uploads/cat.jpg"},
    context={"author": 7},
    text="",
    state="refused",
    error=None,
    fingerprint=None,
    created_at=_DECIDED_AT,
    updated_at=_DECIDED_AT,
)


@dataclass(frozen=True, slots=True)
class About:
    """The submission of an example; for a test event, one that the platform does not know."""

    submission_id: str = "upload-7"
    reference: str = "post-42"
    context: Mapping[str, Any] = field(default_factory=lambda: {"author": 7})


def example_event(
    kind: EventType,
    event_id: str = "evt_6f1d3b7e20c94a7f9f0f4f6f2f1e8a55",
    at: datetime = _DECIDED_AT,
    about: About | None = None,
) -> Payload:
    """Return the example of a type of event."""
    about = about or About()
    reference, context = about.reference, dict(about.context)
    if kind is EventType.SUBMISSION_REFUSED:
        refused = replace(_REFUSED, id=about.submission_id, reference=reference, context=context)
        data = refusal_data(refused, "there is no policy 'strict'")
    else:
        decision = replace(_DECISION, submission_id=about.submission_id, reference=reference, context=context)
        data = decision_data(decision, _VERDICTS.get(kind))
    return payload(EventFields(event_id, kind.value, at, about.submission_id, _STATES[kind]), data)
