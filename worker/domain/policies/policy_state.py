"""What one process makes of one policy: the version in force in it, and what it refused since."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class PolicyState:
    """A policy's state in a process; times are UTC."""

    policy: str
    #: The version in force; None where no version ever was good.
    digest: str | None = None
    shadow: bool = False
    in_force_since: datetime | None = None
    #: When the file's latest version was refused, and why; None where it was taken.
    refused_at: datetime | None = None
    refusal: str | None = None
