"""Every metric: its name, what it says, its labels; Prometheus fetches them from each process."""

from worker.metrics.policies import PolicyReading
from worker.metrics.recent import Recent
from worker.metrics.stages import Stage, unmeasured
from worker.metrics.web_process import WebMetrics
from worker.metrics.worker_process import Metrics

__all__ = ["Metrics", "PolicyReading", "Recent", "Stage", "WebMetrics", "unmeasured"]
