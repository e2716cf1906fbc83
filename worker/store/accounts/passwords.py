"""Password hashes: argon2id, which makes guessing expensive in memory and time."""

import threading
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

#: OWASP's minimum; at most four at once, so that many logins take no more than 76 MiB.
_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_AT_ONCE: Final = threading.BoundedSemaphore(4)
#: Verified if there is no account or no password, so that the response time does not reveal that.
_DUMMY_HASH: Final = (
    "$argon2id$v=19$m=19456,t=2,p=1$deqksxwilct0SPuCMmEoPg$WqARa+5OMi3o0NQOKWL8NFl65VkPs6OcOs+5DLhnE3Y"
)


def hash_of(password: str) -> str:
    """Return the hash of a password."""
    with _AT_ONCE:
        return _HASHER.hash(password)


def matches(password: str, kept: str | None) -> bool:
    """Whether a password matches its stored hash; False, in the same time, if `kept` is None."""
    with _AT_ONCE:
        try:
            _HASHER.verify(kept or _DUMMY_HASH, password)
        except (VerificationError, InvalidHashError):
            return False
    return kept is not None
