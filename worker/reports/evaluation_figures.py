"""The JSON of an evaluation."""

from dataclasses import asdict
from typing import Any

import numpy as np

from worker.domain.evaluation.curves import Floats, ThresholdCurve
from worker.domain.evaluation.intervals import CONFIDENCE
from worker.domain.evaluation.labelled.confusion import Confusion
from worker.domain.evaluation.labelled.counts import Counts
from worker.domain.evaluation.labelled.label_figures import ThresholdFigures
from worker.domain.evaluation.labelled.picture import JudgedPicture
from worker.domain.evaluation.labelled.policy_figures import LabelReport
from worker.domain.evaluation.labelled.slices import SliceFigures
from worker.usecases.policies.evaluation.evaluate_policy import Evaluation


def evaluation_figures(evaluation: Evaluation) -> dict[str, Any]:
    """Return all figures, the worst mistakes, and what is left out."""
    figures = evaluation.figures
    return {
        "policy": {"name": evaluation.policy.name, "digest": evaluation.policy.digest},
        "model": evaluation.model,
        "source": str(evaluation.labelled.source),
        "pictures": len(evaluation.judged),
        "harmless": evaluation.harmless,
        "copies": evaluation.labelled.copies,
        "confidence": CONFIDENCE,
        "not_allowed": _counts(figures.not_allowed),
        "blocked": _counts(figures.blocked),
        "labels": [_label(report) for report in figures.labels],
        "slices": [_slice(one) for one in figures.slices],
        "notes": list(evaluation.labelled.notes),
        "left_out": [
            {"file": str(one.file), "defect": one.defect.value, "reason": one.reason}
            for one in evaluation.left_out
        ],
    }


def _label(report: LabelReport) -> dict[str, Any]:
    figures, mistakes = report.figures, report.mistakes
    return {
        "label": figures.name,
        "pictures": figures.review.counts.true,
        "average_precision": asdict(figures.average_precision),
        "review": _threshold(figures.review),
        "block": _threshold(figures.block),
        "suggested": [
            {"most_false_positives": target, "at": _threshold(found)}
            for target, found in figures.suggested.items()
        ],
        "curve": _curve(figures.grid),
        "confusion": _confusion(report.confusion),
        "missed": [_mistake(one, figures.name) for one in mistakes.missed],
        "false_positives": [_mistake(one, figures.name) for one in mistakes.false_positives],
    }


def _threshold(found: ThresholdFigures | None) -> dict[str, Any] | None:
    return None if found is None else {"threshold": found.threshold, **_counts(found.counts)}


def _counts(counts: Counts) -> dict[str, Any]:
    return {
        **asdict(counts),
        "precision": asdict(counts.precision),
        "recall": asdict(counts.recall),
        "false_positive_rate": asdict(counts.false_positive_rate),
    }


def _curve(curve: ThresholdCurve) -> dict[str, list[float | None]]:
    return {
        "thresholds": _numbers(curve.thresholds),
        "precision": _numbers(curve.precision),
        "recall": _numbers(curve.recall),
        "false_positive_rate": _numbers(curve.false_positive_rate),
        "flagged": _numbers(curve.flagged),
    }


def _numbers(values: Floats) -> list[float | None]:
    """Return numbers; None instead of NaN, which JSON does not have."""
    return [None if np.isnan(value) else value for value in values.round(6).tolist()]


def _confusion(confusion: Confusion) -> dict[str, Any]:
    return {
        "prompts": [asdict(one) for one in confusion.prompts],
        "missed_for": [asdict(one) for one in confusion.rivals],
        "flagged_instead": [{"label": name, "pictures": count} for name, count in confusion.flagged_instead],
        "false_positives_of": [{"label": name, "pictures": count} for name, count in confusion.really],
    }


def _mistake(one: JudgedPicture, label: str) -> dict[str, Any]:
    score = one.scores[label]
    return {
        "file": str(one.picture.file),
        "labels": sorted(one.picture.labels),
        "action": one.decision.action.value,
        "score": score.score,
        "prompt": score.prompt,
        "background": score.background,
        **score.view.as_json(),
    }


def _slice(one: SliceFigures) -> dict[str, Any]:
    return {
        "column": one.column,
        "value": one.value,
        "label": one.label,
        **_counts(one.counts),
        "recall_differs": one.recall_differs,
        "false_positives_differ": one.false_positives_differ,
    }
