"""Metrics of the backlog in the database and at the broker; every process reports the same values."""

from collections.abc import Callable, Iterator
from datetime import datetime

from moderation_client.queue_depth import QueueDepth
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from worker.domain.operations.backlog import Backlog
from worker.domain.reviews.review import ReviewKind


class DatabaseBacklog(Collector):
    """Reports the backlog in the database; `read` returns None while it is unavailable."""

    def __init__(self, read: Callable[[], Backlog | None]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """Yield whether the database answers, and if so, the gauges."""
        backlog = self._read()
        yield _gauge("moderation_database_up", "1 while the database answers, 0 otherwise.", bool(backlog))
        if backlog:
            yield from _gauges(backlog, backlog.at)


class QueueBacklog(Collector):
    """Reports the depth of the queue; `read` returns None while the broker is unavailable."""

    def __init__(self, read: Callable[[], QueueDepth | None]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """Yield whether the broker answers, and if so, the gauges."""
        depth = self._read()
        yield _gauge("moderation_broker_up", "1 while the broker answers, 0 otherwise.", bool(depth))
        if depth is None:
            return
        yield _gauge(
            "moderation_queue_waiting", "Messages on the queue that no worker has taken.", depth.waiting
        )
        if depth.unacknowledged is not None:
            yield _gauge(
                "moderation_queue_unacknowledged",
                "Messages that workers have not acknowledged yet; of all queues of this broker.",
                depth.unacknowledged,
            )


def _gauges(backlog: Backlog, now: datetime) -> Iterator[Metric]:
    yield _gauge(
        "moderation_undecided",
        "Submissions that are accepted or claimed, and neither decided nor refused.",
        backlog.undecided.count,
    )
    yield _gauge(
        "moderation_undecided_oldest_seconds",
        "Age of the oldest of them; 0 if there is none.",
        backlog.undecided.seconds(now),
    )
    without_policy = backlog.without_policy.values()
    yield _gauge(
        "moderation_waiting_for_policy",
        "Submissions that wait because their policy is not in force.",
        sum(waiting.count for waiting in without_policy),
    )
    yield _gauge(
        "moderation_waiting_for_policy_oldest_seconds",
        "Age of the oldest of them; 0 if there is none.",
        max((waiting.seconds(now) for waiting in without_policy), default=0.0),
    )
    yield _gauge(
        "moderation_set_aside",
        "Messages that were set aside because they cannot be entered into the ledger.",
        backlog.set_aside.count,
    )
    yield _waiting_for(backlog)
    yield _gauge(
        "moderation_outbox_pending", "Events not delivered to the platform yet.", backlog.outbox.count
    )
    yield _gauge(
        "moderation_outbox_pending_oldest_seconds",
        "Age of the oldest of them; 0 if there is none.",
        backlog.outbox.seconds(now),
    )
    yield _gauge(
        "moderation_outbox_given_up",
        "Events that could not be delivered and are not retried any more.",
        backlog.given_up,
    )
    yield from _reviews(backlog, now)
    yield _gauge("moderation_workers", "Worker processes that reported recently.", backlog.workers)


def _waiting_for(backlog: Backlog) -> Metric:
    gauge = GaugeMetricFamily(
        "moderation_waiting_for_resource",
        "Undecided submissions that wait for something unavailable: the media root, an object store.",
        labels=["resource"],
    )
    for resource, waiting in backlog.waiting_for.items():
        gauge.add_metric([resource], waiting.count)
    return gauge


def _reviews(backlog: Backlog, now: datetime) -> Iterator[Metric]:
    count = GaugeMetricFamily(
        "moderation_reviews_open", "Open reviews, by why they are asked.", labels=["kind"]
    )
    oldest = GaugeMetricFamily(
        "moderation_reviews_open_oldest_seconds",
        "Age of the oldest of them; 0 if there is none.",
        labels=["kind"],
    )
    for kind in ReviewKind:
        if waiting := backlog.reviews.get(kind):
            count.add_metric([kind.value], waiting.count)
            oldest.add_metric([kind.value], waiting.seconds(now))
    yield from (count, oldest)


def _gauge(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(name, documentation, value=float(value))
