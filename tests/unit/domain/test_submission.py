"""No submission that exists is malformed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.submission import (
    MAX_INLINE_BYTES,
    MAX_PATH_CHARACTERS,
    MAX_REFERENCE_CHARACTERS,
    SUBMISSION_ID_PATTERN,
    InlineBytes,
    LocalFile,
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
