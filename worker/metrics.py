"""Every metric: its name, what it says, its labels; and the address where Prometheus fetches them."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, generate_latest, start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from worker.errors import SettingsError


@dataclass(frozen=True, slots=True)
class PolicyReading:
    """What the metrics say about one policy."""

    policy: str
    #: None where no version is in force.
    version: str | None
    shadow: bool
    #: UTC; None where no version is in force.
    in_force_since: datetime | None
    refused: bool


class Metrics:
    """The metrics of one worker process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._decisions = Counter(
            "moderation_decisions_total",
            "Decisions recorded by this process.",
            ["policy", "action"],
            registry=self.registry,
        )
        self._shadow_decisions = Counter(
            "moderation_shadow_decisions_total",
            "What shadow policies would have decided, recorded by this process.",
            ["policy", "action"],
            registry=self.registry,
        )
        self._published_again = Counter(
            "moderation_published_again_total",
            "Submissions that this process put on the queue again, since none had decided them in time.",
            registry=self.registry,
        )
        self._blocks_held_back = Counter(
            "moderation_blocks_held_back_total",
            "Blocks that became reviews because the policy's hourly limit was reached.",
            ["policy"],
            registry=self.registry,
        )

    def decided(self, policy: str, action: str, *, held_back: bool) -> None:
        """Count a decision that is recorded."""
        self._decisions.labels(policy, action).inc()
        if held_back:
            self._blocks_held_back.labels(policy).inc()

    def shadow_decided(self, policy: str, action: str) -> None:
        """Count what a shadow would have decided."""
        self._shadow_decisions.labels(policy, action).inc()

    def published_again(self, count: int) -> None:
        """Count submissions that were published again."""
        self._published_again.inc(count)

    def follow_policies(self, read: Callable[[], Iterable[PolicyReading]]) -> None:
        """Tell from now on what `read` returns at the moment the metrics are fetched."""
        self.registry.register(_Policies(read))

    @contextmanager
    def served(self, host: str, port: int) -> Iterator[None]:
        """Answer Prometheus at `host` and `port` while the context lasts; at port 0, do not.

        SettingsError where the address cannot be listened on.
        """
        if port == 0:
            yield
            return
        try:
            server, thread = start_http_server(port, host, self.registry)
        except OSError as error:
            raise SettingsError(
                f"the metrics cannot be served at {host}:{port}: {error.strerror or error}",
                hint="let MODERATION_METRICS_PORT name a free port, one for each process; 0 serves none",
            ) from None
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class WebMetrics:
    """The metrics of one web process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._http_requests = Counter(
            "moderation_http_requests_total",
            "Requests to the HTTP API that this process answered.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self._accepted = Counter(
            "moderation_accepted_total",
            "Submissions that this process accepted over HTTP.",
            registry=self.registry,
        )

    def answered(self, method: str, route: str, status: int) -> None:
        """Count an answer of the HTTP API; `route` is the pattern of the path."""
        self._http_requests.labels(method, route, str(status)).inc()

    def accepted(self, count: int) -> None:
        """Count submissions that are in the ledger now."""
        self._accepted.inc(count)

    def text(self) -> bytes:
        """Return all metrics in Prometheus's own format."""
        return generate_latest(self.registry)


class _Policies(Collector):
    """Reads the policies anew at every fetch, so that a version that went leaves nothing behind."""

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
