"""Two submissions with the same id are the same by their picture and policy."""

from dataclasses import replace
from hashlib import sha256

from moderation_client.submission import ImageUrl, InlineBytes, LocalFile, Submission

from worker.domain.submissions.fingerprint import fingerprint

FILE = Submission("upload-7", LocalFile("cat.jpg"))
DIGEST = sha256(b"cat").hexdigest()


def test_what_does_not_change_the_judgement_does_not_count():
    assert fingerprint(FILE) == fingerprint(replace(FILE, reference="post-42", context={"a": 1}))


def test_another_source_or_policy_counts():
    others = [replace(FILE, source=LocalFile("dog.jpg")), replace(FILE, policy="strict")]
    others += [replace(FILE, sha256=DIGEST), replace(FILE, source=ImageUrl("https://a.example/cat.jpg"))]
    assert len({fingerprint(one) for one in [FILE, *others]}) == 5


def test_a_known_digest_tells_the_picture_wherever_it_lies():
    signed = [ImageUrl(f"https://cdn.example.com/cat.jpg?signature={n}") for n in range(2)]
    first, second = (replace(FILE, source=source, sha256=DIGEST) for source in signed)
    assert fingerprint(first) == fingerprint(second)
    assert fingerprint(first) == fingerprint(replace(FILE, source=InlineBytes(b"cat")))
    assert fingerprint(replace(FILE, source=signed[0])) != fingerprint(replace(FILE, source=signed[1]))


def test_a_text_counts_and_fingerprints_without_one_stay_what_they_were():
    with_text = [replace(FILE, text=text) for text in ("a cat", "a dog", " ")]
    assert len({fingerprint(one) for one in [FILE, *with_text]}) == 4
    # As the ledger has it since 0004.
    assert fingerprint(FILE) == "bfe61a055d0fe2998d5de28740360ca1fe53f207c2d8074a97dfa37a0ddefcd7"
