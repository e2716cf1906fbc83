"""No submission that exists is malformed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.submission import (
    MAX_CONTEXT_BYTES,
    MAX_CONTEXT_DEPTH,
    MAX_INLINE_BYTES,
    MAX_PATH_CHARACTERS,
    MAX_REFERENCE_CHARACTERS,
    SUBMISSION_ID_PATTERN,
    ImageUrl,
    InlineBytes,
    LocalFile,
    StoredObject,
    Submission,
    new_submission_id,
)
from worker.errors import InvalidSubmissionError

FILE = LocalFile("uploads/cat.jpg")
SHA256 = "0123456789abcdef" * 4


def test_a_submission_with_everything():
    submission = Submission("post-42:1", FILE, policy="avatars", reference="Post № 42", sha256=SHA256)
    assert str(submission.source) == "uploads/cat.jpg"


def test_a_submission_with_the_least():
    submission = Submission("1", InlineBytes(b"x"))
    assert (submission.policy, submission.reference, submission.sha256) == (None, "", None)


@pytest.mark.parametrize("good", ["a", "0", "A.b_c:d-e", "x" * 128])
def test_an_id_is_what_a_log_line_and_a_url_can_carry(good):
    assert Submission(good, FILE).id == good


@pytest.mark.parametrize("bad", ["", " ", "-a", ".a", "a b", "a/b", "a\n", "ä", "x" * 129])
def test_any_other_id_is_refused(bad):
    with pytest.raises(InvalidSubmissionError, match="is not a submission id") as error:
        Submission(bad, FILE)
    assert "1 to 128" in error.value.hint


def test_a_refused_id_is_cut_in_the_message():
    with pytest.raises(InvalidSubmissionError) as error:
        Submission("?" * 10_000, FILE)
    assert len(error.value.message) < 200


@pytest.mark.parametrize("bad", ["", "Avatars", "1st", "a b", "../a", "a\n", "x" * 64])
def test_a_policy_is_named_like_a_file(bad):
    with pytest.raises(InvalidSubmissionError, match="is not a policy name"):
        Submission("1", FILE, policy=bad)


def test_a_reference_has_its_limit():
    assert Submission("1", FILE, reference="x" * MAX_REFERENCE_CHARACTERS)
    with pytest.raises(InvalidSubmissionError, match="a reference has at most 512 characters, not 513"):
        Submission("1", FILE, reference="x" * (MAX_REFERENCE_CHARACTERS + 1))


@pytest.mark.parametrize(
    "bad", ["", SHA256[:-1], SHA256 + "0", SHA256.upper(), SHA256[:-1] + "g", SHA256 + "\n"]
)
def test_a_promised_digest_is_a_sha_256(bad):
    with pytest.raises(InvalidSubmissionError, match="is not a SHA-256"):
        Submission("1", FILE, sha256=bad)


@pytest.mark.parametrize("bad", ["", "x" * (MAX_PATH_CHARACTERS + 1)])
def test_a_path_has_its_limits(bad):
    with pytest.raises(InvalidSubmissionError, match="a path has 1 to 1024 characters"):
        LocalFile(bad)


def test_a_path_without_end_is_refused():
    with pytest.raises(InvalidSubmissionError, match="NUL"):
        LocalFile("a\0.jpg")


def test_a_picture_in_the_message_has_its_limits():
    assert str(InlineBytes(b"x" * MAX_INLINE_BYTES)) == "262,144 bytes sent with the message"
    with pytest.raises(InvalidSubmissionError, match="the picture is empty: 0 bytes"):
        InlineBytes(b"")
    with pytest.raises(InvalidSubmissionError, match="262,145 bytes; at most 262,144") as error:
        InlineBytes(b"x" * (MAX_INLINE_BYTES + 1))
    assert error.value.hint == "store it under the media root and submit its path"


@given(st.text(), st.text())
def test_any_id_and_policy_are_taken_as_they_are_or_refused(id_, policy):
    try:
        submission = Submission(id_, FILE, policy=policy)
    except InvalidSubmissionError:
        return
    assert (submission.id, submission.policy) == (id_, policy)


def test_a_new_id_is_a_valid_one_and_never_the_same():
    ids = {new_submission_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(SUBMISSION_ID_PATTERN.fullmatch(id_) for id_ in ids)


def test_a_url_is_shown_without_its_query():
    source = ImageUrl("https://cdn.example.com/cat.jpg?signature=5ec7e7")
    for shown in (str(source), repr(source), repr(Submission("1", source)), f"{source}"):
        assert "https://cdn.example.com/cat.jpg" in shown
        assert "5ec7e7" not in shown


@pytest.mark.parametrize(
    "bad", ["", "cat.jpg", "file:///cat.jpg", "https://user:5ec7e7@a.b/", "ftp://a.b/?5ec7e7"]
)
def test_a_url_that_is_none_is_refused_without_showing_secrets(bad):
    with pytest.raises(InvalidSubmissionError) as refused:
        ImageUrl(bad)
    assert "5ec7e7" not in refused.value.message


@pytest.mark.parametrize(
    "key", ["a", "2026/07/cat.jpg", "ü .jpg", "a/..b/c..", "%2e%2e/a", "a:b*?[c]", "x" * 1024]
)
def test_a_key_is_taken_as_it_is(key):
    assert str(StoredObject("uploads", key)) == f"{key} in the store uploads"


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("", "1 to 1,024 bytes, not 0"),
        ("x" * 1025, "1 to 1,024 bytes"),
        ("ü" * 513, "1 to 1,024 bytes, not 1,026"),
        ("/etc/passwd", "an empty part, . or .."),
        ("a//b", "an empty part, . or .."),
        ("a/", "an empty part, . or .."),
        ("..", "an empty part, . or .."),
        ("../a", "an empty part, . or .."),
        ("a/../../b", "an empty part, . or .."),
        ("./a", "an empty part, . or .."),
        ("a\0", "NUL"),
        ("a\nb", "control characters"),
        ("a\x7f", "control characters"),
        ("\ud800", "valid Unicode"),
    ],
)
def test_a_key_that_could_mean_something_else_is_refused(key, words):
    with pytest.raises(InvalidSubmissionError) as refused:
        StoredObject("uploads", key)
    assert words in refused.value.message


@pytest.mark.parametrize("store", ["", "Uploads", "s3://bucket", "a/b", "1st", "x" * 64])
def test_a_store_is_a_name_and_never_an_address(store):
    with pytest.raises(InvalidSubmissionError, match="is not the name of a store"):
        StoredObject(store, "cat.jpg")


@pytest.mark.parametrize("good", [{}, {"post": 42, "tags": ["a", None, True, 1.5, {"ü": "\u2028"}]}])
def test_a_context_is_plain_json(good):
    submission = Submission("1", FILE, context=good)
    assert submission.context == good
    assert hash(submission)


def nested(depth):
    return {"a": nested(depth - 1)} if depth else {}


@pytest.mark.parametrize(
    "bad",
    [
        [],
        "text",
        {1: 2},
        {"a": (1,)},
        {"a": {1, 2}},
        {"a": b"x"},
        {"a": float("nan")},
        {"a": float("inf")},
        {"a": 10**5000},
        {"a": "\0"},
        {"\0": 1},
        {"a": "\ud800"},
        nested(MAX_CONTEXT_DEPTH + 1),
        nested(900),
    ],
)
def test_a_context_that_would_not_come_back_is_refused(bad):
    with pytest.raises(InvalidSubmissionError, match="is an object of plain JSON"):
        Submission("1", FILE, context=bad)


def test_a_context_has_its_limit():
    assert Submission("1", FILE, context={"a": "x" * (MAX_CONTEXT_BYTES - 9)})
    with pytest.raises(InvalidSubmissionError, match="at most 8,192 bytes as JSON, not 8,193"):
        Submission("1", FILE, context={"a": "x" * (MAX_CONTEXT_BYTES - 8)})
