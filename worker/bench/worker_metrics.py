"""Reads the `/metrics` of a running worker: durations of stages, and batch sizes of passes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import Final, Self

from prometheus_client.parser import text_string_to_metric_families

from worker.observability.metrics.stages import STAGES

_STAGES: Final = "moderation_stage_seconds"
_PASSES: Final = "moderation_batch_pictures"
_TIMEOUT_SECONDS: Final = 10


@dataclass(frozen=True, slots=True)
class Total:
    """The count and the sum of a histogram."""

    count: float = 0.0
    sum: float = 0.0

    def since(self, earlier: "Total") -> "Total":
        """Return the difference to an earlier reading."""
        return Total(self.count - earlier.count, self.sum - earlier.sum)

    @property
    def mean(self) -> float:
        """Return the mean; 0 if nothing was observed."""
        return self.sum / self.count if self.count else 0.0


@dataclass(frozen=True, slots=True)
class WorkerMetrics:
    """A reading of the metrics, or the difference of two."""

    stages: Mapping[str, Total] = field(default_factory=dict)
    #: Batch sizes of passes.
    passes: Total = Total()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the text format of Prometheus."""
        found: dict[tuple[str, str], float] = {}
        for family in text_string_to_metric_families(text):
            if family.name in {_STAGES, _PASSES}:
                found |= {(one.name, one.labels.get("stage", "")): one.value for one in family.samples}

        def total(name: str, stage: str = "") -> Total:
            return Total(found.get((f"{name}_count", stage), 0.0), found.get((f"{name}_sum", stage), 0.0))

        return cls({stage: total(_STAGES, stage) for stage in STAGES}, total(_PASSES))

    def since(self, earlier: "WorkerMetrics") -> "WorkerMetrics":
        """Return the difference to an earlier reading."""
        stages = {name: one.since(earlier.stages.get(name, Total())) for name, one in self.stages.items()}
        return WorkerMetrics(stages, self.passes.since(earlier.passes))


def fetch(port: int) -> WorkerMetrics:
    """Fetch the metrics of the worker at this port on loopback."""
    connection = HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/metrics")
        return WorkerMetrics.parse(connection.getresponse().read().decode())
    finally:
        connection.close()
