"""Metrics of what policies flag and how their labels score, compared with the days before."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from worker.domain.operations.score_drift import QUANTILES, PolicyReport

#: Labels of a policy that are reported: those that drift, then those flagged most.
MOST_LABELS: Final = 50


class Labels(Collector):
    """Reports the labels of each policy; `read` returns None while the database is unavailable."""

    def __init__(self, read: Callable[[], Sequence[PolicyReport] | None]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges."""
        share = GaugeMetricFamily(
            "moderation_label_flagged_share",
            "Share of the uploads on which a label is flagged, in the last day and the week before it; for "
            f"the {MOST_LABELS} labels of a policy that drift or are flagged most.",
            labels=["policy", "label", "window"],
        )
        score = GaugeMetricFamily(
            "moderation_label_score",
            "Percentiles of the scores of a label in the last day: 50, 90 and 99; for the same labels.",
            labels=["policy", "label", "percentile"],
        )
        drift = GaugeMetricFamily(
            "moderation_label_drift",
            "1 while a label flags much more or less than before, or its scores moved, 0 otherwise; for the "
            "same labels.",
            labels=["policy", "label"],
        )
        for report in self._read() or ():
            for one in report.labels[:MOST_LABELS]:
                share.add_metric([report.policy, one.label, "day"], one.share)
                if one.share_before is not None:
                    share.add_metric([report.policy, one.label, "before"], one.share_before)
                for part, value in zip(QUANTILES, one.quantiles, strict=True):
                    score.add_metric([report.policy, one.label, f"{100 * part:.0f}"], value)
                drift.add_metric([report.policy, one.label], float(one.drift is not None))
        yield from (share, score, drift)
