"""What travels: a submission survives the way, and a message that is wrong says everything that is wrong."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.client.messages import from_message, to_message
from worker.domain.submission import InlineBytes, LocalFile, Submission
from worker.errors import InvalidSubmissionError

GOOD = {"id": "post-42", "source": {"kind": "file", "path": "cat.jpg"}}
_ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@pytest.mark.parametrize("source", [LocalFile("a/b c/ü.jpg"), InlineBytes(b"\x89PNG\x00\xff")])
def test_a_submission_survives_the_way_as_json(source):
    submission = Submission("post-42", source, "default", "answer to 41", "0" * 64)
    assert from_message(json.loads(json.dumps(to_message(submission)))) == submission


def test_optional_fields_may_be_left_out_or_null():
    submission = from_message(GOOD | {"policy": None, "reference": None})
    assert (submission.policy, submission.reference, submission.sha256) == (None, "", None)


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
        ({"source": {"kind": "url", "url": "http://x"}}, "must be one of 'file', 'bytes', not 'url'"),
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


@given(st.dictionaries(st.sampled_from(["id", "source", "policy", "reference", "sha256", "x"]), _ANY_JSON))
def test_any_message_at_all_is_a_submission_or_one_named_error(message):
    with contextlib.suppress(InvalidSubmissionError):
        assert isinstance(from_message(message), Submission)
