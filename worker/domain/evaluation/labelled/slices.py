"""Recall and false positives by slice, to find an artist or a device that is treated worse than the rest."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy.stats import false_discovery_control, fisher_exact

from worker.domain.evaluation.curves import Flags
from worker.domain.evaluation.labelled.counts import Counts
from worker.domain.evaluation.labelled.picture import JudgedPicture, scores_of, truth_of
from worker.domain.policies.policy import Action, Policy

#: The share of the marked differences that may be chance.
FALSE_DISCOVERIES: Final = 0.05


@dataclass(frozen=True, slots=True)
class SliceFigures:
    """How the pictures with one value of a column fare."""

    column: str
    value: str
    #: None: flagged at all, against having any label.
    label: str | None
    counts: Counts
    #: The pictures with another value of the column.
    rest: Counts
    #: Whether the recall differs from that of the rest beyond chance.
    recall_differs: bool = False
    false_positives_differ: bool = False


def slice_figures(policy: Policy, judged: Sequence[JudgedPicture]) -> list[SliceFigures]:
    """Measure each value of each column, for the whole policy and for each label that applies to a picture.

    A difference is marked by Fisher's exact test against the rest of the column, if it remains after the
    correction for many tests of Benjamini and Hochberg 1995, "Controlling the False Discovery Rate".
    """
    questions = list(_questions(policy, judged))
    found = [
        SliceFigures(
            column, value, label, Counts.of(flagged[at], truth[at]), Counts.of(flagged[~at], truth[~at])
        )
        for column, value, at in _slices(judged)
        for label, flagged, truth in questions
    ]
    recall = _beyond_chance(found, lambda counts: (counts.hits, counts.missed))
    harmless = _beyond_chance(found, lambda counts: (counts.false_positives, counts.passed))
    return [
        replace(one, recall_differs=recall_differs, false_positives_differ=harmless_differ)
        for one, recall_differs, harmless_differ in zip(found, recall, harmless, strict=True)
    ]


def _slices(judged: Sequence[JudgedPicture]) -> Iterator[tuple[str, str, Flags]]:
    """Yield each column and value, and whether each picture has it; columns of one value are left out."""
    for column in judged[0].picture.slices if judged else ():
        values = np.array([one.picture.slices[column] for one in judged])
        distinct = np.unique(values).tolist()
        if len(distinct) > 1:
            yield from ((column, value, values == value) for value in distinct)


def _questions(policy: Policy, judged: Sequence[JudgedPicture]) -> Iterator[tuple[str | None, Flags, Flags]]:
    """Yield each label, whether each picture is flagged, and whether it should be."""
    yield (
        None,
        np.array([one.decision.action is not Action.ALLOW for one in judged]),
        np.array([bool(one.picture.labels) for one in judged]),
    )
    for label in policy.labels:
        truth = truth_of(label.name, judged)
        if truth.any():
            yield label.name, scores_of(label.name, judged) >= label.review, truth


def _beyond_chance(
    found: Sequence[SliceFigures], outcomes: Callable[[Counts], tuple[int, int]]
) -> list[bool]:
    tables = [[outcomes(one.counts), outcomes(one.rest)] for one in found]
    testable = [number for number, table in enumerate(tables) if all(map(sum, table))]
    if not testable:
        return [False] * len(found)
    chances = [float(fisher_exact(tables[number]).pvalue) for number in testable]
    differ = dict(zip(testable, false_discovery_control(chances) <= FALSE_DISCOVERIES, strict=True))
    return [bool(differ.get(number, False)) for number in range(len(found))]
