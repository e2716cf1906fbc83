"""A version of a policy as the database keeps it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StoredPolicy:
    """The text of a version, and the digest that says what it meant when it was stored."""

    text: str
    digest: str
