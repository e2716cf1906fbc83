"""A reviewer: a person who answers reviews, and what they may see."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from worker.errors import UsageError

#: A short name, or the address by which a single sign-on proxy identifies the person.
REVIEWER_NAME_PATTERN: Final = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,79}")
MAX_NAME_CHARACTERS: Final = 80
MIN_PASSWORD_CHARACTERS: Final = 12
#: Bounds the work of hashing.
MAX_PASSWORD_CHARACTERS: Final = 256


class Role(StrEnum):
    """What a person may do; each role includes the ones before it."""

    REVIEWER = "reviewer"
    #: Answers escalated reviews, and sees the statistics of the queue and of the verdicts.
    LEAD = "lead"
    #: Also manages accounts.
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Reviewer:
    """A person at the review desk."""

    name: str
    role: Role = Role.REVIEWER
    #: Labels whose pictures this person is not shown.
    opt_outs: frozenset[str] = frozenset()
    #: At most this number of severe pictures a day; None for no limit.
    severe_per_day: int | None = None

    @property
    def is_lead(self) -> bool:
        """Whether this person answers escalated reviews."""
        return self.role in {Role.LEAD, Role.ADMIN}


def reviewer_name(text: str) -> str:
    """Return an account's name in lower case, as it is stored; UsageError if it is not valid."""
    name = text.strip().lower()
    if not REVIEWER_NAME_PATTERN.fullmatch(name):
        raise UsageError(
            f"{text[:80]!r} is not the name of a reviewer",
            hint="1 to 80 letters, digits and . _ @ + - , such as ada or ada@example.com",
        )
    return name


def check_password(password: str) -> None:
    """Raise UsageError if the password is too short or too long."""
    if not MIN_PASSWORD_CHARACTERS <= len(password) <= MAX_PASSWORD_CHARACTERS:
        raise UsageError(
            f"a password has {MIN_PASSWORD_CHARACTERS} to {MAX_PASSWORD_CHARACTERS} characters,"
            f" not {len(password)}",
            hint="a few random words are easy to type and hard to guess",
        )
