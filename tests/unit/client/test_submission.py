"""No submission that exists is malformed."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moderation_client.callback import CeleryCallback, WebhookCallback
from moderation_client.submission import (
    MAX_CONTEXT_BYTES,
    MAX_CONTEXT_DEPTH,
    MAX_INLINE_BYTES,
    MAX_PATH_CHARACTERS,
    MAX_REFERENCE_CHARACTERS,
    MAX_TEXT_CHARACTERS,
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


def test_a_text_has_its_limit_and_may_have_several_lines():
    assert Submission("1", FILE, text="a cat\n\tand a dog\r\n" + "x" * 1980)
    with pytest.raises(
        InvalidSubmissionError, match=r"a text has at most 2,000 characters, not 2,001"
    ) as error:
        Submission("1", FILE, text="x" * (MAX_TEXT_CHARACTERS + 1))
    assert error.value.field == "text"


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


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("../secret.jpg", "climbs with '..'"),
        ("a/../../secret.jpg", "climbs with '..'"),
        ("a/..", "climbs with '..'"),
        ("/etc/passwd", "is absolute"),
        ("//host/share", "is absolute"),
        ("a/", "names a folder"),
        (".", "names a folder"),
        ("a\n.jpg", "control characters"),
        ("a\x1b[31m.jpg", "control characters"),
        ("a\x85.jpg", "control characters"),
        ("a\ud800.jpg", "valid Unicode"),
    ],
)
def test_a_path_that_no_worker_would_read_is_refused(path, words):
    with pytest.raises(InvalidSubmissionError, match=words) as error:
        LocalFile(path)
    assert error.value.field == "source.path"
    assert error.value.message.isprintable()


@pytest.mark.parametrize("path", ["a.jpg", "./a.jpg", "a//b.jpg", "a/..b/c..jpg", "ü &?.jpg", "C:\\a.jpg"])
def test_any_other_path_is_taken(path):
    assert LocalFile(path).path == path


@pytest.mark.parametrize(
    ("make", "field", "words"),
    [
        (lambda: Submission(7, FILE), "id", "a submission id is text, not a value of the type int"),
        (lambda: Submission(None, FILE), "id", "not None"),
        (lambda: Submission("1", "a.jpg"), "source", "LocalFile"),
        (lambda: Submission("1", "https://a.b/c.jpg"), "source", "ImageUrl"),
        (lambda: Submission("1", Path("a.jpg")), "source", "LocalFile"),
        (lambda: Submission("1", b"bytes"), "source", "InlineBytes"),
        (lambda: Submission("1", {"kind": "file"}), "source", "StoredObject"),
        (lambda: Submission("1", None), "source", "StoredObject"),
        (lambda: LocalFile(Path("a.jpg")), "source.path", "a path is text"),
        (lambda: ImageUrl(7), "source.url", "a URL is text"),
        (lambda: StoredObject("up", 7), "source.key", "a key is text"),
        (lambda: StoredObject(None, "a"), "source.store", "is text"),
        (lambda: InlineBytes("a.jpg"), "source", "takes a picture's bytes"),
        (lambda: InlineBytes(bytearray(b"a")), "source", "bytearray"),
        (lambda: Submission("1", FILE, policy=7), "policy", "a policy name is text"),
        (lambda: Submission("1", FILE, text=7), "text", "a text is text, not a value of the type int"),
        (lambda: Submission("1", FILE, text=None), "text", "a text is text, not None"),
        (lambda: Submission("1", FILE, text="\ud800"), "text", "valid Unicode"),
        (lambda: Submission("1", FILE, text="a\0b"), "text", "NUL"),
        (lambda: Submission("1", FILE, reference=7), "reference", "a reference is text"),
        (lambda: Submission("1", FILE, reference=None), "reference", "a reference is text"),
        (lambda: Submission("1", FILE, reference="\ud800"), "reference", "valid Unicode"),
        (lambda: Submission("1", FILE, reference="a\0b"), "reference", "NUL"),
        (lambda: Submission("1", FILE, sha256=b"0" * 64), "sha256", "a SHA-256 is text"),
        (lambda: Submission("1", FILE, context=[1]), "context", "object of plain JSON"),
        (lambda: Submission("1", FILE, context={"a": "\ud800"}), "context", "object of plain JSON"),
        (lambda: Submission("1", FILE, context={"a": "\0"}), "context", "object of plain JSON"),
        (lambda: Submission("1", FILE, callback="https://a.b/"), "callback", "WebhookCallback"),
        (lambda: WebhookCallback(7), "callback.url", "a URL is text"),
        (lambda: CeleryCallback(7, "q"), "callback.task", "not the name of a task"),
    ],
)
def test_a_field_of_another_type_is_named_with_what_was_meant(make, field, words):
    with pytest.raises(InvalidSubmissionError) as error:
        make()
    assert error.value.field == field
    assert words in f"{error.value.message} {error.value.hint}"


def test_the_digest_of_bytes_that_are_here_is_checked_at_once():
    good = hashlib.sha256(b"x").hexdigest()
    assert Submission("1", InlineBytes(b"x"), sha256=good)
    with pytest.raises(
        InvalidSubmissionError, match=f"has the SHA-256 {good}, not the one promised"
    ) as error:
        Submission("1", InlineBytes(b"x"), sha256="0" * 64)
    assert error.value.field == "sha256"


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
