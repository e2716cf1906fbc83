"""How many messages of our queue the broker holds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """Messages by whether they have been delivered to a worker."""

    waiting: int
    #: Delivered but not acknowledged, over all queues of this broker; None if the broker does not report it.
    unacknowledged: int | None
