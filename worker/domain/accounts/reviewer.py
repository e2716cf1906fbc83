"""A reviewer: a person who answers reviews, and what they may see."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from worker.errors import UsageError

#: A short name or the address that a single sign-on proxy knows the person by.
REVIEWER_NAME_PATTERN: Final = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,79}")
MAX_NAME_CHARACTERS: Final = 80
MIN_PASSWORD_CHARACTERS: Final = 12
#: Hashing a longer one would be work for nobody's good.
MAX_PASSWORD_CHARACTERS: Final = 256


class Role(StrEnum):
    """What a person may do; each may do all that the one before may."""

    REVIEWER = "reviewer"
    #: Answers what is escalated, and sees how the queue and the verdicts stand.
    LEAD = "lead"
    #: Manages accounts too.
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Reviewer:
    """A person at the review desk."""

    name: str
    role: Role = Role.REVIEWER
    #: Labels whose pictures this person is not shown.
    opt_outs: frozenset[str] = frozenset()
    #: Severe pictures that this person is shown a day at most; None for no limit.
    severe_per_day: int | None = None

    @property
    def is_lead(self) -> bool:
        """Whether this person answers what is escalated."""
        return self.role in {Role.LEAD, Role.ADMIN}


def reviewer_name(text: str) -> str:
    """Return the name of an account as it is kept, without capitals; UsageError where it can be none."""
    name = text.strip().lower()
    if not REVIEWER_NAME_PATTERN.fullmatch(name):
        raise UsageError(
            f"{text[:80]!r} is not the name of a reviewer",
            hint="1 to 80 letters, digits and . _ @ + - , such as ada or ada@example.com",
        )
    return name


def check_password(password: str) -> None:
    """Raise UsageError where nobody should rely on this password."""
    if not MIN_PASSWORD_CHARACTERS <= len(password) <= MAX_PASSWORD_CHARACTERS:
        raise UsageError(
            f"a password has {MIN_PASSWORD_CHARACTERS} to {MAX_PASSWORD_CHARACTERS} characters,"
            f" not {len(password)}",
            hint="a few random words are easy to type and hard to guess",
        )
