"""The dashboard, the alerts and the scaler ask for what the processes export, under the names and labels they export."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from docgen.metrics import after_everything

DEPLOY = Path(__file__).parents[3] / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana" / "moderation.json").read_text(encoding="utf-8"))
RULES = [
    rule
    for group in yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
SCALER = yaml.safe_load((DEPLOY / "kubernetes" / "keda" / "scaledobject.yaml").read_text(encoding="utf-8"))
TRIGGERS = [
    (trigger["name"], {"expr": trigger["metadata"]["query"]}) for trigger in SCALER["spec"]["triggers"]
]
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [
    *((panel["title"], target) for panel in PANELS for target in panel["targets"]),
    *((rule["alert"], rule) for rule in RULES),
    *TRIGGERS,
]

#: What Prometheus knows beyond what a process tells it.
FROM_PROMETHEUS = {"instance", "job"}
METRIC = re.compile(r"\b((?:moderation|process)_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"[^"]*"')
#: What is grouped, directly or by its rate, and by which labels.
GROUPED = re.compile(r"\bby\s*\(([^)]*)\)\s*\((?:\w+\()?((?:moderation|process)_\w+)")
GROUPING = re.compile(r"\b(?:by|without)\s*\(([^)]*)\)")


def exported() -> dict[str, set[str]]:
    """Return the labels of every sample that a process exports, by name, after everything has happened once."""
    families = [family for process in after_everything() for family in process.registry.collect()]
    assert [family.name for family in families if not family.samples] == []
    return {sample.name: set(sample.labels) for family in families for sample in family.samples}


EXPORTED = exported()


def split(labels: str) -> set[str]:
    return {label.strip() for label in labels.split(",") if label.strip()}


def labels_of(expression: str) -> set[str]:
    """Return the labels that a metric of an expression has; a metric that nobody exports fails."""
    named = [name for name, _ in METRIC.findall(expression)]
    return set.union(*(EXPORTED[name] for name in named)) | FROM_PROMETHEUS


@pytest.mark.parametrize(("title", "asked"), EXPRESSIONS, ids=[title for title, _ in EXPRESSIONS])
def test_every_name_and_label_that_is_asked_for_is_exported(title, asked):
    expression = asked["expr"]
    found = METRIC.findall(expression)
    assert found, f"{title} asks for nothing of ours"
    for name, matchers in found:
        assert name in EXPORTED
        assert set(MATCHER.findall(matchers)) <= EXPORTED[name] | FROM_PROMETHEUS
    for labels, name in GROUPED.findall(expression):
        assert split(labels) <= EXPORTED[name] | FROM_PROMETHEUS
    groups = {label for labels in GROUPING.findall(expression) for label in split(labels)}
    assert groups <= labels_of(expression)
    told = asked.get("legendFormat", "") + " ".join(asked.get("annotations", {}).values())
    shown = set(re.findall(r"\{\{(\w+)\}\}", told)) | set(re.findall(r"\$labels\.(\w+)", told))
    assert shown <= (groups or labels_of(expression))


def test_a_name_or_label_that_is_not_exported_would_be_noticed():
    for wrong in (
        "sum(moderation_decision_total)",
        'sum(moderation_decisions_total{colour="red"})',
        "sum by (label) (rate(moderation_decisions_total[5m])) / sum by (label) (moderation_flagged_total)",
    ):
        with pytest.raises((AssertionError, KeyError)):
            test_every_name_and_label_that_is_asked_for_is_exported("wrong", {"expr": wrong})


def test_every_metric_of_ours_is_on_the_dashboard():
    looked_at = {name for panel in PANELS for t in panel["targets"] for name, _ in METRIC.findall(t["expr"])}
    families = {re.sub(r"_(bucket|sum|count|created)$", "", name) for name in looked_at}
    ours = {name for name in EXPORTED if name.startswith("moderation_") and not name.endswith("_created")}
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in ours} <= families


def test_the_dashboard_is_one_that_grafana_takes():
    assert DASHBOARD["schemaVersion"] >= 36
    assert DASHBOARD["title"]
    assert re.fullmatch(r"[\w-]{1,40}", DASHBOARD["uid"])
    assert {"from", "to"} <= set(DASHBOARD["time"])
    (source,) = DASHBOARD["templating"]["list"]
    assert (source["name"], source["type"], source["query"]) == ("datasource", "datasource", "prometheus")
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("panel", PANELS, ids=[panel["title"] for panel in PANELS])
def test_every_panel_has_a_title_a_unit_and_a_place_of_its_own(panel):
    assert panel["type"] in {"stat", "timeseries"}
    assert panel["title"]
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert all(t["datasource"] == {"type": "prometheus", "uid": "${datasource}"} for t in panel["targets"])
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    place = panel["gridPos"]
    assert place["x"] + place["w"] <= 24
    for other in PANELS:
        if other is not panel:
            assert not _overlap(place, other["gridPos"]), other["title"]


def test_every_alert_says_how_grave_it_is_and_what_to_do():
    names = [rule["alert"] for rule in RULES]
    assert len(names) == len(set(names))
    for rule in RULES:
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"]


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool, of Prometheus, is not installed")
def test_prometheus_itself_understands_every_expression(tmp_path):
    asked = [t["expr"].replace("$__rate_interval", "5m") for panel in PANELS for t in panel["targets"]]
    asked += [trigger["expr"] for _, trigger in TRIGGERS]
    recorded = [{"record": f"panel:{n}", "expr": expression} for n, expression in enumerate(asked)]
    panels = tmp_path / "panels.yml"
    panels.write_text(json.dumps({"groups": [{"name": "panels", "rules": recorded}]}))
    command = ["promtool", "check", "rules", DEPLOY / "prometheus" / "alerts.yml", panels]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 0, run.stdout + run.stderr


#: A day as usual, then an hour in which p blocks and flags fifty times as much, q for the first time, s as before.
JUMPS = {
    'moderation_decisions_total{policy="p",version="v",action="allow"}': "0+100x1560",
    'moderation_decisions_total{policy="p",version="v",action="block"}': "0+1x1500 1500+50x60",
    'moderation_flagged_total{policy="p",label="weapons",action="block"}': "0+1x1500 1500+50x60",
    'moderation_decisions_total{policy="q",version="v",action="allow"}': "0+100x1560",
    'moderation_decisions_total{policy="q",version="v",action="block"}': "_x1499 0+30x60",
    'moderation_flagged_total{policy="q",label="gambling",action="block"}': "_x1499 0+30x60",
    'moderation_decisions_total{policy="s",version="v",action="allow"}': "0+100x1560",
    'moderation_decisions_total{policy="s",version="v",action="block"}': "0+5x1560",
    'moderation_flagged_total{policy="s",label="weapons",action="block"}': "0+5x1560",
    # Two processes export the same; of p the label weapons drifts, of s none.
    'moderation_label_flagged_share{policy="p",label="weapons",window="day",instance="a"}': "0.01x1500 0.18x60",
    'moderation_label_flagged_share{policy="p",label="weapons",window="day",instance="b"}': "0.01x1500 0.18x60",
    'moderation_label_flagged_share{policy="p",label="weapons",window="before",instance="a"}': "0.01x1560",
    'moderation_label_flagged_share{policy="s",label="weapons",window="day",instance="a"}': "0.05x1560",
    'moderation_label_drift{policy="p",label="weapons",instance="a"}': "0x1500 1x60",
    'moderation_label_drift{policy="p",label="weapons",instance="b"}': "0x1500 1x60",
    'moderation_label_drift{policy="s",label="weapons",instance="a"}': "0x1560",
}


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool, of Prometheus, is not installed")
@pytest.mark.parametrize(
    ("alert", "who"),
    [
        ("ModerationBlocksJump", [{"policy": "p"}, {"policy": "q"}]),
        ("ModerationFlagsJump", [{"policy": "p", "label": "weapons"}, {"policy": "q", "label": "gambling"}]),
        ("ModerationLabelDrifts", [{"policy": "p", "label": "weapons"}]),
    ],
)
def test_an_alert_fires_if_blocks_or_flags_jump_or_a_label_drifts_and_else_not(tmp_path, alert, who):
    (rule,) = (rule for rule in RULES if rule["alert"] == alert)
    rules, cases = tmp_path / "rules.yml", tmp_path / "cases.yml"
    rules.write_text(json.dumps({"groups": [{"name": "one", "rules": [rule | {"annotations": {}}]}]}))
    fired = [{"exp_labels": rule["labels"] | labels} for labels in who]
    case = {
        "interval": "1m",
        "input_series": [{"series": series, "values": values} for series, values in JUMPS.items()],
        "alert_rule_test": [
            {"eval_time": "1490m", "alertname": alert, "exp_alerts": []},
            {"eval_time": "1545m", "alertname": alert, "exp_alerts": fired},
        ],
    }
    cases.write_text(json.dumps({"rule_files": [str(rules)], "evaluation_interval": "1m", "tests": [case]}))
    command = ["promtool", "test", "rules", cases]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 0, run.stdout + run.stderr


def _overlap(one, other):
    return all(
        one[start] < other[start] + other[size] and other[start] < one[start] + one[size]
        for start, size in (("x", "w"), ("y", "h"))
    )
