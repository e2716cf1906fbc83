"""An example of every event: `moderate outbox send-test` sends it, the API's description and its tests show it."""

from datetime import UTC, datetime
from typing import Any, Final

from worker.domain.in_force import DecidedBy, InForce
from worker.domain.policy import Action
from worker.domain.scoring import LabelScore
from worker.notifications.events import Happening, Payload, decision_data, payload, refusal_data
from worker.store.decisions import RecordedDecision
from worker.store.outbox import DECISION_MADE, SUBMISSION_REFUSED
from worker.store.submissions import LedgerEntry
from worker.store.verdict_events import APPEAL_ANSWERED, VERDICT_MADE, VERDICT_REVERSED

EVENT_TYPES: Final = (DECISION_MADE, VERDICT_MADE, VERDICT_REVERSED, APPEAL_ANSWERED, SUBMISSION_REFUSED)

_DECIDED_AT: Final = datetime(2026, 7, 1, 12, 0, 0, 250_000, UTC)
_SUBMISSION: Final = "upload-7"
_DECISION: Final = RecordedDecision(
    id=1042,
    submission_id=_SUBMISSION,
    reference="post-42",
    context={"author": 7},
    policy="default",
    policy_digest="9f2c" * 16,
    model_digest="41b7" * 16,
    action=Action.BLOCK,
    flagged=("weapons",),
    severity=4,
    reason='weapons 0.98 (block at 0.95): "a kitchen knife" beat "a spoon" by 0.080',
    held_back=False,
    sha256="c0ffee00" * 8,
    created_at=_DECIDED_AT,
    scores=(LabelScore("weapons", 0.98, "a kitchen knife", 0.31, "a spoon", 0.23, frame=0),),
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
_REFUSED: Final = LedgerEntry(
    id=_SUBMISSION,
    reference="post-42",
    policy="strict",
    sha256=None,
    source={"kind": "file", "path": "uploads/cat.jpg"},
    context={"author": 7},
    state="refused",
    error="there is no policy 'strict'",
    fingerprint=None,
    created_at=_DECIDED_AT,
    updated_at=_DECIDED_AT,
)
_EXAMPLES: Final[dict[str, tuple[InForce, dict[str, Any]]]] = {
    DECISION_MADE: (InForce(1, Action.BLOCK, DecidedBy.POLICY), decision_data(_DECISION)),
    VERDICT_MADE: (InForce(2, Action.ALLOW, DecidedBy.REVIEWER), decision_data(_DECISION, _VERDICT)),
    VERDICT_REVERSED: (InForce(3, Action.BLOCK, DecidedBy.POLICY), decision_data(_DECISION, _REVERSAL)),
    APPEAL_ANSWERED: (
        InForce(5, Action.ALLOW, DecidedBy.APPEAL),
        decision_data(_DECISION, {**_VERDICT, "appeal": 12, "outcome": "overturned"}),
    ),
    SUBMISSION_REFUSED: (InForce(1), refusal_data(_REFUSED)),
}


def example_event(
    kind: str, event_id: str = "evt_6f1d3b7e20c94a7f9f0f4f6f2f1e8a55", at: datetime = _DECIDED_AT
) -> Payload:
    """Return the example of one of `EVENT_TYPES`."""
    state, data = _EXAMPLES[kind]
    return payload(Happening(event_id, kind, at, _SUBMISSION, state), data)
