"""A policy's state in one process: the version in force, and the version refused since."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class PolicyState:
    """A policy's state in a process; times are UTC."""

    policy: str
    #: The version in force; None if there never was a valid one.
    digest: str | None = None
    shadow: bool = False
    in_force_since: datetime | None = None
    #: When the file's latest version was refused, and why; None if it was accepted.
    refused_at: datetime | None = None
    refusal: str | None = None
