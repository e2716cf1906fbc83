"""The metrics that worker and web processes have in common."""

from collections.abc import Callable

from moderation_client.queue_depth import QueueDepth
from prometheus_client import CollectorRegistry, Counter, ProcessCollector, generate_latest

from worker.domain.operations.backlog import Backlog
from worker.observability.metrics.backlog import DatabaseBacklog, QueueBacklog


class ProcessMetrics:
    """The metrics of one process, whatever it does; memory, files and processor time among them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._published_again = self._counter(
            "moderation_published_again_total",
            "Accepted submissions that this process put on the queue again, since none had decided them.",
        )

    def published_again(self, count: int) -> None:
        """Count submissions that were published again."""
        self._published_again.inc(count)

    def follow_backlog(self, read: Callable[[], Backlog | None]) -> None:
        """Tell from now on what `read` says of the database at that moment; None while it is away."""
        self.registry.register(DatabaseBacklog(read))

    def follow_queue(self, read: Callable[[], QueueDepth | None]) -> None:
        """Tell from now on what `read` says of the broker at that moment; None while it is away."""
        self.registry.register(QueueBacklog(read))

    def text(self) -> bytes:
        """Return all metrics in Prometheus's own format."""
        return generate_latest(self.registry)

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(name, documentation, labels, registry=self.registry)
