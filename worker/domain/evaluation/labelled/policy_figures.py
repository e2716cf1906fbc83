"""The figures of a policy on labelled pictures: of the whole, of each label, and of each slice."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from worker.domain.evaluation.labelled.confusion import Confusion
from worker.domain.evaluation.labelled.counts import Counts
from worker.domain.evaluation.labelled.label_figures import LabelFigures
from worker.domain.evaluation.labelled.mistakes import Mistakes, worst_mistakes
from worker.domain.evaluation.labelled.picture import JudgedPicture, scores_of, truth_of
from worker.domain.evaluation.labelled.slices import SliceFigures, slice_figures
from worker.domain.policies.policy import Action, Label, Policy

#: Called with the number of labels measured, and their total.
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class LabelReport:
    """All that is known of one label."""

    label: Label
    figures: LabelFigures
    confusion: Confusion
    mistakes: Mistakes


@dataclass(frozen=True, slots=True)
class PolicyFigures:
    """How well a policy sorts labelled pictures."""

    #: Not allowed by the policy, against having any label.
    not_allowed: Counts
    #: Blocked at once, against having any label.
    blocked: Counts
    #: In the policy's order.
    labels: tuple[LabelReport, ...]
    slices: tuple[SliceFigures, ...]


def measure(
    policy: Policy, judged: Sequence[JudgedPicture], most_mistakes: int, progress: Progress
) -> PolicyFigures:
    """Measure a policy by its decisions; keep at most this number of mistakes of each kind and label."""
    harmful = np.array([bool(one.picture.labels) for one in judged])

    def taken(*actions: Action) -> Counts:
        return Counts.of(np.array([one.decision.action in actions for one in judged]), harmful)

    labels = []
    for number, label in enumerate(policy.labels, 1):
        labels.append(_measure_label(label, judged, most_mistakes))
        progress(number, len(policy.labels))
    return PolicyFigures(
        not_allowed=taken(Action.REVIEW, Action.BLOCK),
        blocked=taken(Action.BLOCK),
        labels=tuple(labels),
        slices=tuple(slice_figures(policy, judged)),
    )


def _measure_label(label: Label, judged: Sequence[JudgedPicture], most_mistakes: int) -> LabelReport:
    scores, truth = scores_of(label.name, judged), truth_of(label.name, judged)
    return LabelReport(
        label,
        LabelFigures.of(label, scores, truth),
        Confusion.of(label, judged),
        worst_mistakes(label, judged, most_mistakes),
    )
