"""Slices: what differs beyond chance is marked, and what may be chance is not."""

import numpy as np
from support.labelled import POLICY, judged

from worker.domain.evaluation.labelled.counts import Counts
from worker.domain.evaluation.labelled.slices import SliceFigures, slice_figures


def pictures(artist: str, found: int, missed: int, flagged: int, passed: int):
    kinds = ((found, "weapons", 0.8), (missed, "weapons", 0.2), (flagged, "", 0.8), (passed, "", 0.2))
    return [
        judged(f"{artist} {labels} {score} {n}", labels, weapons=score, artist=artist)
        for count, labels, score in kinds
        for n in range(count)
    ]


def of(found: list[SliceFigures], value: str, label: str | None = None) -> SliceFigures:
    return next(one for one in found if (one.value, one.label) == (value, label))


def test_each_value_is_measured_for_the_policy_and_for_each_label_that_applies() -> None:
    found = slice_figures(POLICY, pictures("ann", 3, 1, 0, 5) + pictures("bob", 2, 2, 1, 4))
    assert [(one.value, one.label) for one in found] == [
        ("ann", None), ("ann", "weapons"), ("bob", None), ("bob", "weapons"),
    ]  # fmt: skip
    assert of(found, "bob", "weapons").counts == Counts(2, 2, 1, 4)
    assert of(found, "bob", "weapons").rest == Counts(3, 1, 0, 5)


def test_a_large_difference_is_marked_and_only_in_the_figure_that_differs() -> None:
    found = slice_figures(POLICY, pictures("ann", 38, 2, 4, 36) + pictures("bob", 15, 25, 5, 35))
    assert of(found, "bob").recall_differs
    assert of(found, "ann").recall_differs
    assert not of(found, "bob").false_positives_differ


def test_a_small_difference_is_not_marked() -> None:
    found = slice_figures(POLICY, pictures("ann", 8, 2, 1, 9) + pictures("bob", 6, 4, 2, 8))
    assert not any(one.recall_differs or one.false_positives_differ for one in found)


def test_slices_drawn_by_chance_are_rarely_marked() -> None:
    """Of 40 random columns in each of 5 runs, an uncorrected test at 5 % would mark about 20 values."""
    random, marked = np.random.default_rng(11), 0
    for _ in range(5):
        columns = random.choice(["a", "b"], (200, 40))
        judgements = [
            judged(
                str(n),
                "weapons" if n < 100 else "",
                weapons=0.8 if random.random() < (0.7 if n < 100 else 0.2) else 0.2,
                **{f"column{c}": value for c, value in enumerate(row)},
            )
            for n, row in enumerate(columns)
        ]
        marked += sum(one.recall_differs for one in slice_figures(POLICY, judgements))
    assert marked <= 4


def test_a_column_with_one_value_compares_nothing() -> None:
    assert slice_figures(POLICY, pictures("ann", 3, 1, 0, 5)) == []
    assert slice_figures(POLICY, []) == []


def test_a_slice_without_true_pictures_has_no_recall_to_differ_in() -> None:
    found = slice_figures(POLICY, pictures("ann", 20, 0, 0, 20) + pictures("bob", 0, 0, 0, 20))
    assert not of(found, "bob").counts.recall.is_known
    assert not of(found, "bob").recall_differs
