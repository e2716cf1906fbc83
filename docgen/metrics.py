"""`metrics.md`: every metric with its labels, and what to do about each alert."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import yaml
from moderation_client.queue_depth import QueueDepth
from prometheus_client.core import Metric

from docgen import markdown as md
from worker.domain.operations.backlog import Backlog, PendingCount
from worker.domain.operations.score_drift import DriftKind, LabelReport, PolicyReport, ScoreDrift
from worker.domain.reviews.review import ReviewKind
from worker.observability.metrics import Metrics, PolicyReading, WebMetrics
from worker.observability.metrics.process import ProcessMetrics
from worker.observability.progress import Progress

ALERTS: Final = Path(__file__).parents[1] / "deploy" / "prometheus" / "alerts.yml"
_OPENING: Final = """Prometheus reads these metrics from `/metrics` of each process;
[settings](settings.md) named `MODERATION_METRICS_` say where.

`deploy/grafana/moderation.json` is a dashboard of them, and `deploy/prometheus/alerts.yml` has the
alerts. Figures of the database and the broker are the same in every process: take the `max` of them, not
the sum."""
#: What Prometheus fills in when it notifies: `{{ $labels.policy }}`, `{{ $value | humanizeDuration }}`.
_TEMPLATE: Final = re.compile(r"\{\{ \$(?:labels\.)?(\w+)(?: \| humanize(\w+))? \}\}")
#: Labels that Prometheus's own format adds to a histogram.
_OF_THE_FORMAT: Final = {"le", "quantile"}


def page() -> str:
    """Return the page."""
    workers, webs = after_everything()
    of_workers, of_webs = _by_name(workers), _by_name(webs)
    common = [family for name, family in of_workers.items() if name in of_webs]
    common.sort(key=lambda family: not family.name.startswith("moderation_"))
    sections = {
        "Of every process": _each(common),
        "Of workers": _each(family for name, family in of_workers.items() if name not in of_webs),
        "Of web processes": _each(family for name, family in of_webs.items() if name not in of_workers),
        "Alerts": md.blocks(
            "`page` should wake a person up; `ticket` can wait until the morning.",
            *map(_alert, alerts()),
        ),
    }
    return md.page("Metrics and alerts", _OPENING, sections)


def after_everything() -> tuple[Metrics, WebMetrics]:
    """Return the metrics of a worker and a web process after everything has happened once.

    A metric has no samples, and so no labels, until something is counted.
    """
    worker, web = Metrics(), WebMetrics()
    now = datetime.now(UTC)
    worker.decided("posts", "aaa", "review", ["weapons"], held_back=True)
    worker.decided_after("posts", 1.5)
    worker.shadow_decided("strict", "block")
    worker.quarantined("posts")
    with worker.stage("fetch"):
        pass
    reading = PolicyReading("posts", "aaa", shadow=False, in_force_since=now, refused=True)
    worker.follow_policies(lambda: [reading])
    worker.follow_progress(Progress())
    worker.follow_sources(lambda: {"the media root": False})
    web.answered("GET", "/v1/decisions", 200)
    waiting = PendingCount(1, now)
    backlog = Backlog(
        at=now, reviews=dict.fromkeys(ReviewKind, waiting), waiting_for={"the media root": waiting}
    )
    drift = ScoreDrift(DriftKind.MORE, now, 0.18, 0.01, 0.99, 0.8, 0.3)
    label = LabelReport("weapons", 0.18, 0.01, (0.01, 0.1, 0.8), drift)
    for process in (worker, web):
        process.follow_labels(lambda: [PolicyReport("posts", "aaa", None, 1000, (label,))])
        process.follow_backlog(lambda: backlog)
        process.follow_queue(lambda: QueueDepth(1, 1))
    return worker, web


def alerts() -> list[dict[str, Any]]:
    """Return the rules of the alerts."""
    groups = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def _by_name(process: ProcessMetrics) -> dict[str, Metric]:
    return {family.name: family for family in process.registry.collect()}


def _each(families: Iterable[Metric]) -> str:
    return md.blocks(*map(_metric, families))


def _metric(family: Metric) -> str:
    names = {name: None for sample in family.samples for name in sample.labels}
    labels = ", ".join(md.code(name) for name in names if name not in _OF_THE_FORMAT)
    facts = f"{family.type.capitalize()}. Labels: {labels or 'none'}."
    return md.blocks(f"### {_name(family)}", md.prose(family.documentation), facts)


def _name(family: Metric) -> str:
    return f"{family.name}_total" if family.type == "counter" else family.name


def _alert(rule: dict[str, Any]) -> str:
    notes = rule["annotations"]
    waits = f" It fires after {rule['for']}." if "for" in rule else ""
    return md.blocks(
        f"### {rule['alert']}",
        md.prose(_without_templates(f"{notes['summary']}.")),
        md.prose(_without_templates(notes["description"])),
        f"Severity: {md.code(rule['labels']['severity'])}.{waits}",
        md.fence("text", rule["expr"]),
    )


def _without_templates(text: str) -> str:
    return _TEMPLATE.sub(lambda match: f"`{(match[2] or match[1]).upper()}`", text).replace("`VALUE`", "N")
