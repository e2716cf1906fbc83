"""What the worker tells in Prometheus's format is read as it was meant, and what came between two moments."""

import pytest

from worker.bench.worker_metrics import Total, WorkerMetrics
from worker.observability.metrics import Metrics


def test_stages_and_passes_are_read_and_counted_from_a_moment_on():
    metrics = Metrics()
    metrics.batched(4)
    before = WorkerMetrics.parse(metrics.text().decode())
    metrics.batched(16)
    metrics.batched(8)
    with metrics.stage("decode"):
        pass
    since = WorkerMetrics.parse(metrics.text().decode()).since(before)
    assert before.passes == Total(1, 4)
    assert since.passes.mean == 12
    assert since.stages["decode"].count == 1
    assert since.stages["encode"].mean == 0


def test_the_mean_is_that_of_all():
    assert Total(4, 10).since(Total(2, 4)).mean == pytest.approx(3)
