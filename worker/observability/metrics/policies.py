"""Metrics of the policies in force in a process."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


@dataclass(frozen=True, slots=True)
class PolicyReading:
    """The state of one policy for the metrics."""

    policy: str
    #: None if no version is in force.
    version: str | None
    shadow: bool
    #: UTC; None if no version is in force.
    in_force_since: datetime | None
    refused: bool


class Policies(Collector):
    """Reads the policies at every scrape, so that no gauge of a replaced version remains."""

    def __init__(self, read: Callable[[], Iterable[PolicyReading]]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges of all policies."""
        in_force = GaugeMetricFamily(
            "moderation_policy_in_force",
            "1 for the version of a policy that is in force in this process.",
            labels=["policy", "version", "shadow"],
        )
        since = GaugeMetricFamily(
            "moderation_policy_in_force_since_timestamp_seconds",
            "When that version was put in force in this process, in seconds since 1970.",
            labels=["policy"],
        )
        refused = GaugeMetricFamily(
            "moderation_policy_refused",
            "1 while the latest saved file of a policy is refused, 0 otherwise.",
            labels=["policy"],
        )
        for reading in self._read():
            refused.add_metric([reading.policy], float(reading.refused))
            if reading.version and reading.in_force_since:
                in_force.add_metric([reading.policy, reading.version, str(reading.shadow).lower()], 1.0)
                since.add_metric([reading.policy], reading.in_force_since.timestamp())
        yield from (in_force, since, refused)
