"""A version of a policy as the database stores it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StoredPolicy:
    """The text of a version, and the digest of its meaning when it was stored."""

    text: str
    digest: str
