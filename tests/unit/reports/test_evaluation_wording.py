"""The sentences of an evaluation."""

from dataclasses import replace
from pathlib import Path

import pytest
from support.labelled import POLICY, judged

from worker.domain.evaluation.intervals import UNKNOWN, Interval
from worker.domain.evaluation.labelled.picture import Defect, LeftOut
from worker.domain.evaluation.labelled.policy_figures import measure
from worker.reports import evaluation_wording as said
from worker.reports.evaluation_figures import evaluation_figures
from worker.usecases.policies.evaluation.evaluate_policy import Evaluation
from worker.usecases.policies.evaluation.labelled_pictures import LabelledPictures

PICTURES = (
    judged("/p/gun.jpg", "weapons", weapons=0.8, artist="ann"),
    judged("/p/toy.jpg", "weapons", weapons=0.2, background="a toy pistol", drugs=0.7, artist="bob"),
    judged("/p/cat.jpg", artist="ann"),
    judged("/p/fork.jpg", weapons=0.7, prompt="a knife", artist="bob"),
)


def evaluated(*pictures, left_out=(), copies=0) -> Evaluation:
    labelled = LabelledPictures(Path("/p/labels.csv"), (), (), copies, ("A note.",))
    figures = measure(POLICY, pictures, 6, lambda _, __: None)
    return Evaluation(POLICY, "demo", labelled, pictures, left_out, figures)


def test_the_headline_counts_both_kinds_of_mistake() -> None:
    assert said.headline(evaluated(*PICTURES)) == (
        "2 of 2 harmful pictures are not allowed; 1 of 2 harmless ones are flagged."
    )
    assert said.headline(evaluated(PICTURES[2])) == "0 of 1 harmless ones are flagged."
    assert said.basis(evaluated(*PICTURES, copies=1)) == (
        "4 pictures of /p/labels.csv; 1 more is a copy; model demo."
    )


def test_notes_name_empty_labels_and_too_few_harmless_pictures() -> None:
    notes = " ".join(said.notes(evaluated(*PICTURES)))
    assert "A note." in notes
    assert "No picture shows drugs" in notes
    assert "With 2 harmless pictures" in notes
    assert "There are no harmless pictures" in " ".join(said.notes(evaluated(PICTURES[0])))


def test_what_a_label_is_taken_in_by_is_said_in_words() -> None:
    weapons, drugs = evaluated(*PICTURES).figures.labels
    assert said.taken_in_by(weapons.confusion) == [
        'false positives are carried by "a knife" 1 (right 0)',
        "false positives really are safe 1",
        'what is missed is most like "a toy pistol" (lookalike) 1',
        "what is missed is flagged as drugs 1 instead",
    ]
    assert said.taken_in_by(drugs.confusion)[1] == "false positives really are weapons 1"


def test_what_is_left_out_is_counted_and_named() -> None:
    gone = LeftOut(Path("/p/gone.jpg"), Defect.MISSING, "line 3 names it; there is no such file")
    unknown = [LeftOut(Path(f"/p/{n}.jpg"), Defect.UNKNOWN_LABEL, "why") for n in range(7)]
    assert said.left_out(evaluated(*PICTURES, left_out=(gone, *unknown))) == [
        "1 missing: gone.jpg (line 3 names it; there is no such file)",
        "7 unknown label: 0.jpg, 1.jpg, 2.jpg, 3.jpg, 4.jpg and 2 more",
    ]


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        (Interval(0.62, 0.48, 0.75), "62% (48% to 75%)"),
        (Interval(0, 0, 0.034), "0% (0% to 3.4%)"),
        (UNKNOWN, "\N{EN DASH}"),
    ],
)
def test_a_share_has_its_bounds(interval: Interval, text: str) -> None:
    assert said.share(interval) == text


def test_a_slice_that_differs_is_said_with_the_rest() -> None:
    one = replace(evaluated(*PICTURES).figures.slices[0], recall_differs=True)
    (difference,) = said.differences(one)
    assert difference.startswith("recall 100%")
    assert ", elsewhere 100%" in difference
    assert said.slice_name(one) == "artist ann, any label"


def test_the_json_has_no_number_that_json_does_not_know() -> None:
    figures = evaluation_figures(evaluated(*PICTURES))
    weapons = figures["labels"][0]
    assert (weapons["review"]["hits"], weapons["block"]["hits"]) == (1, 0)
    assert weapons["curve"]["precision"][-1] is None
    assert [one["file"] for one in weapons["missed"]] == ["/p/toy.jpg"]
    assert weapons["missed"][0]["background"] == "a toy pistol"
    assert figures["labels"][1]["review"]["recall"]["share"] is None
    assert len(figures["slices"]) == 4
