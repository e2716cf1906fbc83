"""Says which labels of a policy drift, since when, and which command shows the uploads behind it."""

import math
import shlex
from datetime import datetime, timedelta
from typing import Final

from worker.domain.evaluation.wording import counted, percent
from worker.domain.operations.score_drift import DriftKind, PolicyReport, ScoreDrift

#: Labels that are described; a new client or a broken model may change all of them.
DESCRIBED: Final = 3
#: A weekday is clear within this time.
_WEEK: Final = timedelta(days=6)
_QUANTILES: Final = {0.5: "the median", 0.9: "the 90th percentile", 0.99: "the 99th percentile"}


def what_drifts(report: PolicyReport, now: datetime) -> str:
    """Describe the drifts of a policy, which has some."""
    drifts = report.drifts
    said = [_sentence(label, drift, report.version, now) for label, drift in drifts[:DESCRIBED]]
    if (more := len(drifts) - DESCRIBED) > 0:
        said.append(f"and {counted(more, 'more label')}")
    return f"policy {report.policy}: {'; '.join(said)}"


def way_out_of_drift(report: PolicyReport, now: datetime) -> str:
    """Return the command that shows why; of the first drift, which flags the most."""
    label, drift = report.drifts[0]
    since = f"--since {math.ceil((now - drift.since) / timedelta(days=1))}d"
    if drift.by_version and report.version_before:
        versions = f"{report.version_before[:12]} {report.version[:12]}"
        return f"see what the version changed: moderate policy compare {versions} {since}"
    if drift.kind is DriftKind.MORE:
        return (
            f"see what it flags: moderate decisions --label {shlex.quote(label)}; for more of a kind: "
            f'moderate policy hunt "PHRASE" {since}'
        )
    policy = shlex.quote(report.policy)
    return (
        "see whether the model, the pictures or a client changed; what should be flagged: "
        f'moderate policy hunt "A PROMPT OF {label}" --policy {policy} {since}'
    )


def _sentence(label: str, drift: ScoreDrift, version: str, now: datetime) -> str:
    since = f"since version {version[:12]}" if drift.by_version else f"since {_moment(drift.since, now)}"
    if drift.kind is DriftKind.SHIFTED:
        return (
            f"{label} scores differently {since}: {_QUANTILES[drift.moved]} is "
            f"{drift.quantile:.2g}, {drift.quantile_before:.2g} before"
        )
    return f"{label} flags {percent(drift.share)} of uploads {since}, {percent(drift.share_before)} before"


def _moment(at: datetime, now: datetime) -> str:
    return f"{at:%A %H:%M} UTC" if now - at < _WEEK else f"{at:%Y-%m-%d %H:%M} UTC"
