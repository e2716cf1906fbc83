"""How a password is kept: as an argon2id hash, which costs who guesses it memory and time."""

import threading
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

#: OWASP's smallest; a few at once, so that a storm of logins takes no more than 76 MiB.
_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_AT_ONCE: Final = threading.BoundedSemaphore(4)
#: What is checked where there is no account or no password, so that nobody learns so from the time it takes.
_NOBODYS: Final = (
    "$argon2id$v=19$m=19456,t=2,p=1$deqksxwilct0SPuCMmEoPg$WqARa+5OMi3o0NQOKWL8NFl65VkPs6OcOs+5DLhnE3Y"
)


def hash_of(password: str) -> str:
    """Return what is kept of a password."""
    with _AT_ONCE:
        return _HASHER.hash(password)


def matches(password: str, kept: str | None) -> bool:
    """Whether this is the password; as slow where None is kept, and then False."""
    with _AT_ONCE:
        try:
            _HASHER.verify(kept or _NOBODYS, password)
        except (VerificationError, InvalidHashError):
            return False
    return kept is not None
