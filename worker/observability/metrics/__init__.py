"""Every metric, with its name, help and labels; Prometheus scrapes them from each process."""

from worker.observability.metrics.policies import PolicyReading
from worker.observability.metrics.recent import Recent
from worker.observability.metrics.stages import Stage, unmeasured
from worker.observability.metrics.web_process import WebMetrics
from worker.observability.metrics.worker_process import Metrics

__all__ = ["Metrics", "PolicyReading", "Recent", "Stage", "WebMetrics", "unmeasured"]
