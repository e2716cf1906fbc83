"""One table describes a submission: what a new field or kind of source still lacks, a test here names."""

import inspect
import json
from dataclasses import fields
from typing import get_args

import moderation_client
import pytest
from jsonschema import Draft202012Validator
from moderation_client import Client
from moderation_client.callback import WebhookCallback
from moderation_client.messages import from_message, recorded_source, to_message, unrecorded_source
from moderation_client.submission import (
    ImageUrl,
    InlineBytes,
    LocalFile,
    Source,
    StoredObject,
    Submission,
)
from moderation_client.submission_fields import SOURCE_KINDS, SUBMISSION_FIELDS, kind_of

from worker.domain.submissions.fingerprint import fingerprint
from worker.errors import InvalidSubmissionError
from worker.web.api.request_schemas import SUBMISSION, UPLOAD

#: A new kind of source needs an example here.
EXAMPLES = {
    "file": LocalFile("uploads/cat.jpg"),
    "bytes": InlineBytes(b"\x89PNG\x00\xff"),
    "url": ImageUrl("https://cdn.example.com/cat.jpg?signature=5ec7e7"),
    "object": StoredObject("uploads", "2026/cat.jpg"),
}
FULL = Submission(
    "upload-7",
    EXAMPLES["file"],
    "strict",
    "post-42",
    "0" * 64,
    {"author": 7},
    WebhookCallback("https://platform.example/moderated"),
    "again-1",
    "look at my cat",
)
every_kind = pytest.mark.parametrize("kind", SOURCE_KINDS, ids=lambda kind: kind.name)


def test_every_class_of_source_has_its_kind():
    assert {kind.source_class for kind in SOURCE_KINDS} == set(get_args(Source))
    assert {name: kind_of(source).name for name, source in EXAMPLES.items()} == {
        kind.name: kind.name for kind in SOURCE_KINDS
    }


@every_kind
def test_a_source_survives_the_message_that_its_schema_describes(kind):
    submission = Submission("upload-7", EXAMPLES[kind.name])
    message = json.loads(json.dumps(to_message(submission)))
    Draft202012Validator(SUBMISSION).validate(message)
    assert from_message(message) == submission
    assert len(fingerprint(submission)) == 64


@every_kind
def test_a_source_is_read_again_from_the_ledger(kind):
    source = EXAMPLES[kind.name]
    assert recorded_source(unrecorded_source(source) or kind.to_message(source)) == source


@every_kind
def test_a_field_that_is_missing_or_unknown_is_named(kind):
    for name in kind.fields:
        source = {k: v for k, v in kind.to_message(EXAMPLES[kind.name]).items() if k != name}
        with pytest.raises(InvalidSubmissionError, match=rf"field 'source\.{name}' is missing"):
            from_message({"id": "upload-7", "source": source})
        with pytest.raises(InvalidSubmissionError, match=rf"'source\.{name}' must be text, not a number"):
            from_message({"id": "upload-7", "source": source | {name: 7}})


@every_kind
def test_producers_can_import_a_source_and_are_pointed_to_it(kind):
    name = kind.source_class.__name__
    assert getattr(moderation_client, name) is kind.source_class
    assert name in moderation_client.__all__
    with pytest.raises(InvalidSubmissionError) as error:
        Submission("upload-7", None)
    assert f"{name}(" in error.value.hint


def test_every_field_is_in_the_submission_its_message_and_the_client():
    names = set(SUBMISSION_FIELDS)
    assert {one.name for one in fields(Submission)} == names | {"traceparent", "sent_at"}
    assert set(inspect.signature(Client.submit).parameters) == names | {"self", "traceparent"}
    assert set(to_message(FULL)) == names


def test_every_field_survives_the_message_that_its_schema_describes():
    empty = Submission("upload-7", EXAMPLES["file"])
    changed = {name for name in SUBMISSION_FIELDS if getattr(FULL, name) != getattr(empty, name)}
    assert changed == set(SUBMISSION_FIELDS) - {"id", "source"}, "FULL needs a value for every field"
    message = json.loads(json.dumps(to_message(FULL)))
    Draft202012Validator(SUBMISSION).validate(message)
    assert from_message(message) == FULL


def test_a_form_has_every_field_but_the_source():
    assert set(UPLOAD["properties"]) == set(SUBMISSION_FIELDS) - {"source"} | {"picture"}
    assert {schema["type"] for schema in UPLOAD["properties"].values()} == {"string"}
