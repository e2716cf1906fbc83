"""What a platform hands over: a submission, and the source that says where its picture is."""

import re
import secrets
from dataclasses import dataclass
from typing import Final

from worker.errors import InvalidSubmissionError

#: The producer's idempotency key: what a log line, a URL and a file name can carry unescaped.
SUBMISSION_ID_PATTERN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
POLICY_NAME_PATTERN: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}")
SHA256_PATTERN: Final = re.compile(r"[0-9a-f]{64}")
MAX_REFERENCE_CHARACTERS: Final = 512
MAX_PATH_CHARACTERS: Final = 1024
#: A larger picture makes the broker the bottleneck: pass a path instead.
MAX_INLINE_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A picture on a disk that producer and worker share, as a path relative to the media root."""

    path: str

    def __post_init__(self) -> None:
        """Refuse what can never name a file under the root."""
        if not 0 < len(self.path) <= MAX_PATH_CHARACTERS:
            raise InvalidSubmissionError(
                f"a path has 1 to {MAX_PATH_CHARACTERS} characters, not {len(self.path)}"
            )
        _refuse_unstorable(self.path, "a path")

    def __str__(self) -> str:
        return self.path


@dataclass(frozen=True, slots=True)
class InlineBytes:
    """A small picture that travels inside the message."""

    data: bytes

    def __post_init__(self) -> None:
        """Refuse nothing at all, and what is too much for a message."""
        if not self.data:
            raise InvalidSubmissionError("the picture is empty: 0 bytes")
        if len(self.data) > MAX_INLINE_BYTES:
            raise InvalidSubmissionError(
                f"the picture has {len(self.data):,} bytes; at most {MAX_INLINE_BYTES:,} fit into a message",
                hint="store it under the media root and submit its path",
            )

    def __str__(self) -> str:
        return f"{len(self.data):,} bytes sent with the message"


Source = LocalFile | InlineBytes


@dataclass(frozen=True, slots=True)
class Submission:
    """One uploaded picture to be judged once under the policy in force."""

    #: The idempotency key: the same id is decided once per policy version, however often it arrives.
    id: str
    source: Source
    #: None leaves the choice to the worker's default policy.
    policy: str | None = None
    #: Whatever the platform wants to find again beside the decision, such as its own post's number.
    reference: str = ""
    #: Promised digest of the bytes, lower-case hexadecimal; checked before anything is judged.
    sha256: str | None = None

    def __post_init__(self) -> None:
        """Check every field, so that no submission that exists is malformed."""
        if not SUBMISSION_ID_PATTERN.fullmatch(self.id):
            raise InvalidSubmissionError(
                f"{self.id[:140]!r} is not a submission id",
                hint="1 to 128 letters, digits and . _ : - , starting with a letter or digit",
            )
        if self.policy is not None and not POLICY_NAME_PATTERN.fullmatch(self.policy):
            raise InvalidSubmissionError(
                f"{self.policy[:80]!r} is not a policy name",
                hint="a policy is named like its file: lower-case letters, digits, - and _",
            )
        if len(self.reference) > MAX_REFERENCE_CHARACTERS:
            raise InvalidSubmissionError(
                f"a reference has at most {MAX_REFERENCE_CHARACTERS} characters, not {len(self.reference):,}"
            )
        _refuse_unstorable(self.reference, "a reference")
        if self.sha256 is not None and not SHA256_PATTERN.fullmatch(self.sha256):
            raise InvalidSubmissionError(f"{self.sha256[:80]!r} is not a SHA-256 in lower-case hexadecimal")


def _refuse_unstorable(text: str, what: str) -> None:
    """Refuse what no database keeps: NUL, and halves of characters (lone surrogates)."""
    if "\0" in text:
        raise InvalidSubmissionError(f"{what} cannot contain a NUL character")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidSubmissionError(f"{what} must be valid Unicode text, {text[:80]!r} is not")


def new_submission_id() -> str:
    """Return an id for a producer that has no key of its own: 128 random bits in hexadecimal."""
    return secrets.token_hex(16)
