"""Metrics of a worker process."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Final

from prometheus_client import Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from worker.domain.submissions.dropped_message import DropReason
from worker.observability.metrics.policies import Policies, PolicyReading
from worker.observability.metrics.process import ProcessMetrics
from worker.observability.metrics.stages import STAGES, StageName
from worker.observability.progress import Progress

_BATCH_SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
#: From a fast decision to one that waited for hours.
_LATENCIES: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0, 14_400.0)
#: From a database statement to a download at its deadline.
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics(ProcessMetrics):
    """The metrics of one worker process."""

    def __init__(self) -> None:
        super().__init__()
        self._decisions = self._counter(
            "moderation_decisions_total", "Decisions recorded by this process.", "policy", "version", "action"
        )
        # A separate counter: one by version and label would have a series for every pair.
        self._flagged = self._counter(
            "moderation_flagged_total",
            "Labels flagged in decisions recorded by this process; a decision may have several.",
            "policy",
            "label",
            "action",
        )
        self._shadow_decisions = self._counter(
            "moderation_shadow_decisions_total",
            "What shadow policies would have decided, recorded by this process.",
            "policy",
            "action",
        )
        self._blocks_held_back = self._counter(
            "moderation_blocks_held_back_total",
            "Blocks that became reviews because the policy's hourly limit was reached.",
            "policy",
        )
        self._retries = self._counter(
            "moderation_retries_total", "Attempts that failed for a reason that may pass, and are retried."
        )
        self._quarantines = self._counter(
            "moderation_quarantines_total",
            "Submissions that go to a person unjudged, since they crashed workers.",
            "policy",
        )
        self._conflicts = self._counter(
            "moderation_conflicts_total",
            "Submissions that came with the id of another picture or policy, and were not judged.",
        )
        self._not_claimed = self._counter(
            "moderation_not_claimed_total",
            "Submissions that could not be entered into the ledger for an unforeseen reason; retried.",
        )
        self._dropped = self._counter(
            "moderation_dropped_messages_total",
            "Messages that no worker can process, dropped by this process.",
            "reason",
        )
        for reason in DropReason:
            self._dropped.labels(reason.value)
        self._batch_pictures = Histogram(
            "moderation_batch_pictures",
            "Pictures that shared a pass through the model.",
            buckets=_BATCH_SIZES,
            registry=self.registry,
        )
        self._stage_seconds = Histogram(
            "moderation_stage_seconds",
            f"How long a stage of judging took: {', '.join(STAGES)}; including the time in its queue.",
            ["stage"],
            buckets=_SECONDS,
            registry=self.registry,
        )

        self._latency_seconds = Histogram(
            "moderation_decision_latency_seconds",
            "From when a submission was accepted over HTTP or put on the queue to its decision.",
            ["policy"],
            buckets=_LATENCIES,
            registry=self.registry,
        )

    def decided_after(self, policy: str, seconds: float) -> None:
        """Record how long the platform waited for a decision."""
        self._latency_seconds.labels(policy).observe(seconds)

    def decided(
        self, policy: str, version: str, action: str, flagged: Iterable[str], *, held_back: bool
    ) -> None:
        """Count a recorded decision; `version` is the abbreviated digest of the policy."""
        self._decisions.labels(policy, version, action).inc()
        for label in flagged:
            self._flagged.labels(policy, label, action).inc()
        if held_back:
            self._blocks_held_back.labels(policy).inc()

    def shadow_decided(self, policy: str, action: str) -> None:
        """Count what a shadow policy would have decided."""
        self._shadow_decisions.labels(policy, action).inc()

    def retried(self) -> None:
        """Count a failed attempt that is retried."""
        self._retries.inc()

    def quarantined(self, policy: str) -> None:
        """Count a submission that crashed too many workers."""
        self._quarantines.labels(policy).inc()

    def conflicted(self) -> None:
        """Count a submission whose id belongs to another one."""
        self._conflicts.inc()

    def not_claimed(self) -> None:
        """Count a submission that could not be entered into the ledger."""
        self._not_claimed.inc()

    def dropped(self, reason: str) -> None:
        """Count a dropped message."""
        self._dropped.labels(reason).inc()

    def batched(self, pictures: int) -> None:
        """Count a pass through the model."""
        self._batch_pictures.observe(pictures)

    def stage(self, name: StageName) -> AbstractContextManager[object]:
        """Time a stage, also if it fails."""
        return self._stage_seconds.labels(name).time()

    def follow_policies(self, read: Callable[[], Iterable[PolicyReading]]) -> None:
        """Report what `read` returns at each scrape."""
        self.registry.register(Policies(read))

    def follow_sources(self, read: Callable[[], Mapping[str, bool]]) -> None:
        """Report at each scrape which sources of pictures `read` returns as available."""
        self.registry.register(_Sources(read))

    def follow_progress(self, progress: Progress) -> None:
        """Report the jobs in flight at each scrape."""
        self.registry.register(_InFlight(progress))


class _Sources(Collector):
    """Reads at every scrape which sources of pictures are available."""

    def __init__(self, read: Callable[[], Mapping[str, bool]]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """Yield the gauge."""
        gauge = GaugeMetricFamily(
            "moderation_source_up",
            "1 while pictures can be read from a source, 0 while it is unavailable to this process.",
            labels=["source"],
        )
        for source, is_up in self._read().items():
            gauge.add_metric([source], float(is_up))
        yield gauge


class _InFlight(Collector):
    """Reads the jobs in flight at every scrape."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges."""
        progress = self._progress.snapshot()
        yield GaugeMetricFamily(
            "moderation_jobs_in_hand", "Submissions that this process is judging.", value=progress.in_flight
        )
        yield GaugeMetricFamily(
            "moderation_jobs_in_hand_oldest_seconds",
            "How long the oldest of them has been in flight; 0 if there is none.",
            value=progress.oldest_seconds,
        )
