"""What travels: a submission survives the way, and a message that is wrong says everything that is wrong."""

import contextlib
import hashlib
import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moderation_client import Client
from moderation_client.messages import (
    MAX_SUBMISSIONS,
    from_many_message,
    from_message,
    source_record,
    to_many_message,
    to_message,
)
from moderation_client.submission import ImageUrl, InlineBytes, LocalFile, StoredObject, Submission

from worker.errors import InvalidSubmissionError

GOOD = {"id": "post-42", "source": {"kind": "file", "path": "cat.jpg"}}
_SCALAR = st.none() | st.booleans() | st.integers() | st.text(max_size=20)
# Two levels by hand: `st.recursive` draws again whenever it exceeds its leaves, which took most of the time.
_FLAT_JSON = st.lists(_SCALAR, max_size=3) | st.dictionaries(st.text(max_size=8), _SCALAR, max_size=3)
_ANY_JSON = _SCALAR | _FLAT_JSON | st.lists(_FLAT_JSON, max_size=2)


SIGNED = ImageUrl("https://cdn.example.com/cat.jpg?signature=5ec7e7")


@pytest.mark.parametrize(
    "source",
    [LocalFile("a/b c/ü.jpg"), InlineBytes(b"\x89PNG\x00\xff"), SIGNED, StoredObject("uploads", "a/ü.jpg")],
)
def test_a_submission_survives_the_way_as_json(source):
    digest = hashlib.sha256(source.data).hexdigest() if isinstance(source, InlineBytes) else "0" * 64
    submission = Submission("post-42", source, "default", "answer to 41", digest, {"post": [42]})
    assert from_message(json.loads(json.dumps(to_message(submission)))) == submission


def test_optional_fields_may_be_left_out_or_null():
    submission = from_message(GOOD | {"policy": None, "reference": None})
    assert (submission.policy, submission.reference, submission.sha256) == (None, "", None)


def test_a_message_without_a_text_is_what_workers_before_texts_accept():
    assert "text" not in to_message(Submission("1", LocalFile("a.png")))
    assert from_message(to_message(Submission("1", LocalFile("a.png"), text="a cat"))).text == "a cat"


def test_every_problem_is_named_at_once():
    with pytest.raises(InvalidSubmissionError) as error:
        from_message(
            {"source": {"kind": "file", "pathh": "x"}, "polcy": "x", "reference": 7}, ("positional",)
        )
    for part in (
        "positional arguments",
        "unknown field 'polcy', did you mean 'policy'?",
        "field 'id' is missing",
        "field 'reference' must be text or null, not a number",
        "unknown field 'source.pathh', did you mean 'path'?",
        "field 'source.path' is missing",
    ):
        assert part in error.value.message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"id": "no spaces"}, "is not a submission id"),
        ({"id": None}, "field 'id' must be text, not null"),
        ({"policy": "Default!"}, "is not a policy name"),
        ({"sha256": "abc"}, "is not a SHA-256"),
        ({"reference": "x" * 513}, "at most 512 characters, not 513"),
        ({"reference": "a\0b"}, "NUL"),
        ({"reference": "\ud800"}, "valid Unicode"),
        ({"source": "cat.jpg"}, "field 'source' must be an object, not str"),
        (
            {"source": {"kind": "s3", "url": "s3://x"}},
            "must be one of 'file', 'bytes', 'url', 'object', not 's3'",
        ),
        ({"source": {"kind": "url", "url": "file:///etc/passwd"}}, "begins with https:// or http://"),
        ({"source": {"kind": "url", "url": "https://x/", "key": "y"}}, "unknown field 'source.key'"),
        ({"source": {"kind": "object", "key": "y"}}, "field 'source.store' is missing"),
        (
            {"source": {"kind": "object", "store": "up", "key": 7}},
            "field 'source.key' must be text, not a number",
        ),
        ({"source": {"kind": "object", "store": "up", "key": "../y"}}, "an empty part, . or .."),
        ({"callback": "https://example.com"}, "field 'callback' must be null, an object with 'url'"),
        ({"callback": {"url": "file:///etc/passwd"}}, "callback: a URL begins with https://"),
        ({"callback": {"task": "moderation.check", "queue": "moderation"}}, "belongs to this service"),
        ({"context": [1]}, "field 'context' must be an object or null, not a list"),
        ({"context": {"a": float("nan")}}, "an object of plain JSON"),
        ({"source": {"kind": "file", "path": ""}}, "a path has 1 to 1024 characters, not 0"),
        ({"source": {"kind": "file", "path": "a\0b"}}, "NUL"),
        ({"source": {"kind": "bytes", "base64": "%%%"}}, "'source.base64' is not base64"),
        ({"source": {"kind": "bytes", "base64": "ü"}}, "'source.base64' is not base64"),
        ({"source": {"kind": "bytes", "base64": ""}}, "the picture is empty"),
    ],
)
def test_a_wrong_field_is_refused_in_words(change, words):
    with pytest.raises(InvalidSubmissionError) as error:
        from_message(GOOD | change)
    assert words in error.value.message


_FIELD = st.sampled_from(
    [
        "id",
        "source",
        "policy",
        "reference",
        "sha256",
        "context",
        "callback",
        "kind",
        "url",
        "key",
        "store",
        "path",
        "base64",
        "x",
    ]
)
_LIKELY = st.sampled_from(
    [
        "post-42",
        "default",
        "0" * 64,
        "file",
        "url",
        "object",
        "bytes",
        "https://a.b/c?d",
        "a/b",
        "QUJD",
        "..",
        "\0",
    ]
)
_NEARLY = st.dictionaries(_FIELD, _LIKELY | st.dictionaries(_FIELD, _LIKELY | _ANY_JSON) | _ANY_JSON)


@settings(max_examples=500)
@given(_NEARLY | _NEARLY.map(lambda found: GOOD | found), st.lists(_ANY_JSON, max_size=1).map(tuple))
def test_any_message_at_all_is_a_submission_or_one_named_error(message, positional):
    with contextlib.suppress(InvalidSubmissionError):
        submission = from_message(message, positional)
        assert from_message(to_message(submission)) == submission


@settings(max_examples=300)
@given(
    st.fixed_dictionaries(
        {"submissions": st.lists(_NEARLY | _SCALAR, max_size=3) | _ANY_JSON},
        optional={"x": _SCALAR, "id": _SCALAR},
    )
    | st.dictionaries(st.text(max_size=3), _SCALAR, max_size=2)
)
def test_any_message_of_many_is_a_list_of_messages_or_one_named_error(message):
    with contextlib.suppress(InvalidSubmissionError):
        assert all(isinstance(one, dict) for one in from_many_message(message))


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({}, "field 'submissions' must be a list of objects"),
        ({"submissions": "x"}, "must be a list of objects"),
        ({"submissions": ["x"]}, "must be a list of objects"),
        ({"submissions": []}, "must have 1 to 64 entries, not 0"),
        ({"submissions": [GOOD] * 65}, "must have 1 to 64 entries, not 65"),
        ({"submissions": [GOOD], "id": "x"}, "unknown field 'id'"),
    ],
)
def test_a_message_of_many_that_is_none_is_refused_in_words(message, words):
    with pytest.raises(InvalidSubmissionError) as error:
        from_many_message(message)
    assert words in error.value.message


def test_many_submissions_survive_the_way_as_json():
    submissions = [Submission(f"post-{n}", SIGNED) for n in range(MAX_SUBMISSIONS)]
    entries = from_many_message(json.loads(json.dumps(to_many_message(submissions))))
    assert [from_message(entry) for entry in entries] == submissions


@pytest.mark.parametrize(
    ("submissions", "words"),
    [
        ([], "1 to 64 submissions, not 0"),
        ([Submission("1", SIGNED)] * 65, "1 to 64 submissions, not 65"),
        ([Submission("1", SIGNED), Submission("two", InlineBytes(b"x"))], "no pictures: two"),
    ],
)
def test_what_does_not_go_into_one_message_is_refused(submissions, words):
    with pytest.raises(InvalidSubmissionError) as error:
        to_many_message(submissions)
    assert words in error.value.message


def test_the_ledger_keeps_where_a_picture_is_but_no_signature():
    assert source_record(SIGNED) == {
        "kind": "url",
        "url": "https://cdn.example.com/cat.jpg",
        "query": "removed",
    }
    plain = replace(SIGNED, url="https://cdn.example.com/cat.jpg")
    assert source_record(plain) == {"kind": "url", "url": "https://cdn.example.com/cat.jpg"}
    assert source_record(StoredObject("up", "a")) == {"kind": "object", "store": "up", "key": "a"}
    assert source_record(InlineBytes(b"x")) is None


@pytest.mark.parametrize(
    ("source", "fields", "words"),
    [
        ("a.jpg", {}, "LocalFile(path)"),
        ("https://cdn.example.com/a.jpg", {}, "ImageUrl(url)"),
        (LocalFile("a.jpg"), {"id": 7}, "a submission id is text, not a value of the type int"),
        (LocalFile("a.jpg"), {"id": 0}, "a submission id is text"),
        (LocalFile("a.jpg"), {"id": ""}, "'' is not a submission id"),
        (InlineBytes(b"a"), {"sha256": "0" * 64}, "not the one promised"),
    ],
)
def test_a_producer_s_mistake_is_an_error_before_anything_is_sent(source, fields, words):
    with Client("redis://127.0.0.1:1/0") as client, pytest.raises(InvalidSubmissionError) as error:
        client.submit(source, **fields)
    assert words in f"{error.value.message} {error.value.hint}"


@pytest.mark.parametrize("wrong", [["a.jpg"], Submission("1", LocalFile("a.jpg")), "a.jpg", None, iter([])])
def test_many_submissions_are_a_list_of_them(wrong):
    with Client("redis://127.0.0.1:1/0") as client, pytest.raises(InvalidSubmissionError, match="a list of"):
        client.submit_many(wrong)
