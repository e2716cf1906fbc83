"""Forms of messages that clients in other languages send, brought into protocol 2."""

import json

import pytest
from kombu import Message
from kombu.exceptions import ContentDisallowed
from moderation_client.messages import TASK

from worker.tasks.message_forms import to_protocol_2

FIELDS = {"id": "upload-7", "source": {"kind": "file", "path": "cat.jpg"}}
GOOD = [[], FIELDS, {}]


def message(body, content_type="application/json", content_encoding="utf-8", headers=None):
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Message(
        text,
        content_type=content_type,
        content_encoding=content_encoding,
        headers=headers,
        accept={"application/json"},
        properties={"correlation_id": "c"},
    )


def forwarded(made):
    to_protocol_2(made)
    assert made.content_type == "application/json"
    return made.decode()


@pytest.mark.parametrize(
    "kind",
    [
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        "Application/JSON",
        "text/json",
        "application/vnd.api+json",
        "json",
        "",
        None,
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "UTF-8", "", None])
def test_json_by_any_name_is_json(kind, encoding):
    assert forwarded(message(GOOD, kind, encoding)) == GOOD


@pytest.mark.parametrize("kind", ["application/x-python-serialize", "application/x-yaml", "text/plain"])
def test_another_content_type_is_refused(kind):
    with pytest.raises(ContentDisallowed):
        to_protocol_2(message(GOOD, kind))


@pytest.mark.parametrize("args", [[], {}, None])
@pytest.mark.parametrize("embed", [{}, None])
def test_protocol_2_with_the_empty_things_that_languages_mix_up(args, embed):
    assert forwarded(message([args, FIELDS, embed])) in (GOOD, [[], FIELDS, None])
    assert forwarded(message([args, None, embed]))[1] == {}
    assert forwarded(message([args, [], embed]))[1] == {}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"args": []},
        {"args": None, "retries": None, "eta": None, "expires": None, "utc": True},
        {"args": {}, "retries": 0, "eta": "2026-01-01T00:00:00", "taskset": None},
    ],
)
def test_protocol_1_becomes_protocol_2(more):
    made = message({"id": "i", "task": TASK, "kwargs": FIELDS} | more)
    assert forwarded(made) == GOOD
    assert (made.headers["task"], made.headers["id"]) == (TASK, "i")
    assert made.headers.get("eta") == more.get("eta")


def test_protocol_1_without_an_id_takes_the_correlation_id():
    made = message({"task": TASK, "kwargs": FIELDS})
    to_protocol_2(made)
    assert made.headers["id"] == "c"


@pytest.mark.parametrize("body", [None, 7, [1], {"kwargs": FIELDS}, {"task": 7}, [[], 7, {}], ["x", {}, {}]])
def test_what_calls_no_task_is_refused(body):
    with pytest.raises(TypeError, match="its "):
        to_protocol_2(message(body))


def test_the_body_that_celery_itself_sends_is_not_written_anew():
    made = message(GOOD)
    before = made.body
    to_protocol_2(made)
    assert made.body is before
