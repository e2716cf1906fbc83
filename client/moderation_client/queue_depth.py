"""How many messages the broker has of our queue."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """What nobody has taken yet, and what is in somebody's hands."""

    waiting: int
    #: Given out and not acknowledged, of every queue of this broker; None where the broker does not tell.
    unacknowledged: int | None
