"""A version of a policy as the database stores it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LearnedThresholds:
    """The identity of what a version has learned, and the thresholds that follow from targets."""

    #: SHA-256 of what was learned.
    digest: str
    #: Label, its threshold for review and its threshold for blocks; None: as the file says.
    thresholds: tuple[tuple[str, float | None, float | None], ...] = ()


@dataclass(frozen=True, slots=True)
class StoredPolicy:
    """The text of a version, and the digest of its meaning when it was stored."""

    text: str
    digest: str
    #: None if the version has learned nothing.
    learned: LearnedThresholds | None = None
