"""`events.md`: every type of event, with an example."""

import json
from typing import Final

from docgen import markdown as md
from docgen import openapi
from worker.domain.operations.event_type import EventType
from worker.notifications.example_events import example_event
from worker.web.api.webhooks import EVENTS

_OPENING: Final = """An event notifies your platform that the state of a submission changed, by
[webhook](webhooks.md) or Celery task.

Act on `action`, which is what is in force now. Events can arrive out of order: ignore those with a lower
`sequence` than you have seen for the submission. They are delivered at least once: deduplicate by `id`."""


def page() -> str:
    """Return the page."""
    return md.page("Events", _OPENING, {kind.value: _section(kind) for kind in EventType})


def _section(kind: EventType) -> str:
    model = EVENTS[kind]
    return md.blocks(
        md.paragraphs(model.__doc__ or ""),
        f"Each field: {openapi.links()[model.__name__]}.",
        md.fence("json", json.dumps(example_event(kind), indent=2, ensure_ascii=False)),
    )
