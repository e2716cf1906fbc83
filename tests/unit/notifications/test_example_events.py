"""Golden bodies of all events: UPDATE_GOLDEN=1 writes them anew, and the diff is read."""

import json
import os
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from worker.domain.operations.event_type import EventType
from worker.notifications.events import as_body
from worker.notifications.example_events import example_event
from worker.web.app import create_app

GOLDEN = Path(__file__).parents[2] / "golden" / "events"


def described(kind):
    """Return a validator of what OpenAPI says an event of this type looks like."""
    api = create_app(None).openapi()
    body = api["webhooks"][kind]["post"]["requestBody"]["content"]["application/json"]["schema"]
    return Draft202012Validator({"components": {"schemas": api["components"]["schemas"]}, **body})


@pytest.mark.parametrize("kind", list(EventType))
def test_the_body_is_the_golden_one_and_the_documented_one(kind):
    event = json.loads(as_body(example_event(kind)))
    file = GOLDEN / f"{kind.value}.json"
    text = json.dumps(event, indent=2, ensure_ascii=False) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")
    described(kind.value).validate(event)


def test_every_type_is_documented_and_has_a_golden_body():
    assert list(create_app(None).openapi()["webhooks"]) == [kind.value for kind in EventType]
    assert {file.stem for file in GOLDEN.iterdir()} == {kind.value for kind in EventType}


@pytest.mark.parametrize("kind", list(EventType))
def test_every_event_has_the_same_top_level(kind):
    event = example_event(kind)
    names = ["id", "type", "timestamp", "submission", "action", "decided_by", "sequence", "data"]
    assert list(event) == names
