"""The metrics that worker and web processes have in common."""

from collections.abc import Callable, Sequence

from moderation_client.queue_depth import QueueDepth
from prometheus_client import CollectorRegistry, Counter, ProcessCollector, generate_latest

from worker.domain.operations.backlog import Backlog
from worker.domain.operations.score_drift import PolicyReport
from worker.observability.metrics.backlog import DatabaseBacklog, QueueBacklog
from worker.observability.metrics.labels import Labels


class ProcessMetrics:
    """The metrics of any process, including memory, files and processor time."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._published_again = self._counter(
            "moderation_published_again_total",
            "Undecided submissions that this process published to the queue again.",
        )

    def published_again(self, count: int) -> None:
        """Count submissions that were published again."""
        self._published_again.inc(count)

    def follow_backlog(self, read: Callable[[], Backlog | None]) -> None:
        """Report what `read` returns of the database at each scrape; None while it is unavailable."""
        self.registry.register(DatabaseBacklog(read))

    def follow_queue(self, read: Callable[[], QueueDepth | None]) -> None:
        """Report what `read` returns of the broker at each scrape; None while it is unavailable."""
        self.registry.register(QueueBacklog(read))

    def follow_labels(self, read: Callable[[], Sequence[PolicyReport] | None]) -> None:
        """Report what `read` returns of the database at each scrape; None while it is unavailable."""
        self.registry.register(Labels(read))

    def text(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self.registry)

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(name, documentation, labels, registry=self.registry)
