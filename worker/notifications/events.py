"""The JSON payload of an event, for webhooks and Celery: what happened, when, and the action in force now."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from moderation_client.traceparent import TRACEPARENT

from worker.domain.moderation.in_force import InForce
from worker.notifications.decision_fields import decision_fields
from worker.store.decisions.decisions import RecordedDecision
from worker.store.submissions.submissions import LedgerEntry

Payload = dict[str, Any]


@dataclass(frozen=True, slots=True)
class EventFields:
    """The fields that every event has."""

    event_id: str
    #: decision.made, verdict.made ...
    kind: str
    happened_at: datetime
    submission_id: str
    #: The submission's state after the event.
    in_force: InForce


def payload(fields: EventFields, data: Mapping[str, Any]) -> Payload:
    """Return the payload; `data` are the details, in the form of the event's type."""
    return {
        "id": fields.event_id,
        "type": fields.kind,
        "timestamp": fields.happened_at.isoformat().replace("+00:00", "Z"),
        "submission": fields.submission_id,
        **fields.in_force.as_json(),
        "data": dict(data),
    }


def decision_data(decision: RecordedDecision, verdict: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the data of an event about `decision` and, if given, the `verdict` on it.

    The decision has the same fields as in the HTTP API.
    """
    verdict_field = {} if verdict is None else {"verdict": dict(verdict)}
    return {
        "submission": decision.submission_id,
        "reference": decision.reference,
        "context": decision.context,
        "decision": decision_fields(decision),
        **verdict_field,
    }


def refusal_data(refused: LedgerEntry, problem: str) -> dict[str, Any]:
    """Return the data of an event about a submission that no policy can decide, because of `problem`."""
    return {
        "submission": {
            "id": refused.id,
            "reference": refused.reference,
            "context": refused.context,
            "policy": refused.policy,
        },
        "problem": problem,
    }


def trace_headers(event: Payload) -> dict[str, str]:
    """Return the header that passes the submission's trace on to the receiver."""
    return {TRACEPARENT: event[TRACEPARENT]} if TRACEPARENT in event else {}


def as_body(event: Payload) -> bytes:
    """Return the bytes that are signed and sent."""
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
