"""The number of messages on a queue and in flight."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """The messages that wait on a queue, and those in flight."""

    waiting: int
    #: Delivered and not acknowledged, on all queues of this broker; None if the broker does not show it.
    unacknowledged: int | None
