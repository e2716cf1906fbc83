"""Metrics of a web process."""

from worker.observability.metrics.process import ProcessMetrics


class WebMetrics(ProcessMetrics):
    """The metrics of one web process."""

    def __init__(self) -> None:
        super().__init__()
        self._http_requests = self._counter(
            "moderation_http_requests_total",
            "Requests to the HTTP API that this process answered.",
            "method",
            "route",
            "status",
        )
        self._accepted = self._counter(
            "moderation_accepted_total", "Submissions that this process accepted over HTTP."
        )

    def answered(self, method: str, route: str, status: int) -> None:
        """Count a response of the HTTP API; `route` is the pattern of the path."""
        self._http_requests.labels(method, route, str(status)).inc()

    def accepted(self, count: int) -> None:
        """Count submissions accepted into the ledger."""
        self._accepted.inc(count)
