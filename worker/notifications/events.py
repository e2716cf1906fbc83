"""An event as the platform gets it, by webhook or by Celery: what happened, when, and the decision."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from worker.domain.traceparent import TRACEPARENT
from worker.notifications.decision_fields import decision_fields
from worker.store.decisions import RecordedDecision

Payload = dict[str, Any]


def payload(
    event_id: str,
    kind: str,
    happened_at: datetime,
    decision: RecordedDecision,
    verdict: Mapping[str, Any] | None = None,
) -> Payload:
    """Return an event about `decision`, and what a person made of it where a `verdict` is told.

    The decision in it is the one that the HTTP API shows.
    """
    about_people = {} if verdict is None else {"verdict": dict(verdict)}
    return {
        "id": event_id,
        "type": kind,
        "timestamp": happened_at.isoformat().replace("+00:00", "Z"),
        "data": {
            "submission": decision.submission_id,
            "reference": decision.reference,
            "context": decision.context,
            "decision": decision_fields(decision),
            **about_people,
        },
    }


def trace_headers(event: Payload) -> dict[str, str]:
    """Return the header that carries the submission's trace on to the receiver."""
    return {TRACEPARENT: event[TRACEPARENT]} if TRACEPARENT in event else {}


def as_body(event: Payload) -> bytes:
    """Return the bytes that are signed and sent."""
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
