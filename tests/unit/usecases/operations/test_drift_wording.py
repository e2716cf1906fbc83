"""What an operator reads of a drift: which label, how much, since when, and the command that shows why."""

from datetime import UTC, datetime, timedelta

import pytest

from worker.domain.operations.score_drift import DriftKind, LabelReport, PolicyReport, ScoreDrift
from worker.usecases.operations.drift_wording import way_out_of_drift, what_drifts

#: A Thursday.
NOW = datetime(2026, 1, 15, 2, 20, tzinfo=UTC)
TUESDAY = datetime(2026, 1, 13, 14, tzinfo=UTC)
V1, V2 = "a" * 64, "b" * 64
SCORES = (0.99, 0.0123, 0.62)


def report(*drifts, before=None, label="explosives"):
    labels = [LabelReport(f"{label}{n or ''}", 0.18, 0.01, (), one) for n, one in enumerate(drifts)]
    return PolicyReport("default", V2, before, 1000, (*labels, LabelReport("steady", 0.1, 0.1, ())))


def more(since=TUESDAY, *, by_version=False):
    return ScoreDrift(DriftKind.MORE, since, 0.18, 0.01, *SCORES, by_version=by_version)


FEWER = ScoreDrift(DriftKind.FEWER, TUESDAY, 0.0, 0.012, *SCORES)
SHIFTED = ScoreDrift(DriftKind.SHIFTED, TUESDAY, 0.0, 0.0004, *SCORES)


@pytest.mark.parametrize(
    ("found", "what", "way_out"),
    [
        (
            report(more()),
            "policy default: explosives flags 18% of uploads since Tuesday 14:00 UTC, 1% before",
            (
                "see what it flags: moderate decisions --label explosives; for more of a kind: "
                'moderate policy hunt "PHRASE" --since 2d'
            ),
        ),
        (
            report(more(by_version=True), before=V1),
            "policy default: explosives flags 18% of uploads since version bbbbbbbbbbbb, 1% before",
            "see what the version changed: moderate policy compare aaaaaaaaaaaa bbbbbbbbbbbb --since 2d",
        ),
        (
            report(FEWER),
            "policy default: explosives flags 0% of uploads since Tuesday 14:00 UTC, 1.2% before",
            (
                "see whether the model, the pictures or a client changed; what should be flagged: "
                'moderate policy hunt "A PROMPT OF explosives" --policy default --since 2d'
            ),
        ),
        (
            report(SHIFTED),
            (
                "policy default: explosives scores differently since Tuesday 14:00 UTC: the 99th percentile is 0.012, "
                "0.62 before"
            ),
            "see whether the model",
        ),
        (
            report(more(NOW - timedelta(days=7))),
            "policy default: explosives flags 18% of uploads since 2026-01-08 02:20 UTC, 1% before",
            "--since 7d",
        ),
        (
            report(more(), label="it's art"),
            "policy default: it's art flags",
            "moderate decisions --label 'it'\"'\"'s art'",
        ),
    ],
)
def test_a_drift_is_said_with_its_way_out(found, what, way_out):
    assert what_drifts(found, NOW).startswith(what)
    assert way_out in way_out_of_drift(found, NOW)


@pytest.mark.parametrize(
    ("number", "end"), [(3, "1% before"), (4, "; and 1 more label"), (9, "; and 6 more labels")]
)
def test_many_drifts_fit_a_line(number, end):
    said = what_drifts(report(*[more()] * number), NOW)
    assert said.endswith(end)
    assert said.count("flags 18%") == 3
