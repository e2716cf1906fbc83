"""The names that people give to pictures are read as labels of a policy."""

from dataclasses import replace
from pathlib import Path

import pytest
from support.labelled import POLICY, WEAPONS

from worker.domain.evaluation.labelled.names import LabelNames, NamedPicture, explain_unknown
from worker.domain.evaluation.labelled.picture import Defect, LabelledPicture, LeftOut
from worker.errors import UsageError


def named(*names: str) -> NamedPicture:
    return NamedPicture(Path("a.jpg"), frozenset(names), {"artist": "ann"})


def read(*names: str, renamed: dict[str, str] | None = None) -> LabelledPicture | LeftOut:
    return LabelNames.of(POLICY, renamed or {}, names).read(named(*names))


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["weapons"], {"weapons"}),
        (["Weapons", "DRUGS"], {"weapons", "drugs"}),
        (["safe"], set()),
        (["Safe"], set()),
        ([], set()),
    ],
)
def test_labels_are_known_whatever_their_capitals(names: list[str], labels: set[str]) -> None:
    assert read(*names) == LabelledPicture(Path("a.jpg"), frozenset(labels), {"artist": "ann"})


def test_a_picture_with_an_unknown_name_is_left_out_even_if_it_has_a_known_one() -> None:
    found = read("weapons", "gore")
    assert isinstance(found, LeftOut)
    assert (found.defect, found.reason) == (
        Defect.UNKNOWN_LABEL,
        '"gore" is no label of the policy house',
    )


def test_safe_and_a_label_contradict_each_other() -> None:
    found = read("safe", "weapons")
    assert isinstance(found, LeftOut)
    assert (found.defect, found.reason) == (Defect.CONTRADICTORY, 'it is labelled "safe" and weapons')


def test_a_name_can_be_renamed_to_a_label_or_to_safe() -> None:
    renamed = {"Gun": "weapons", "none": "safe"}
    names = LabelNames.of(POLICY, renamed, ["gun", "none", "drugs"])
    assert names.read(named("gun", "drugs")).labels == {"weapons", "drugs"}
    assert names.read(named("none")).labels == frozenset()


@pytest.mark.parametrize(
    ("renamed", "complaint", "hint"),
    [
        ({"gun": "weapon"}, '"weapon" is no label of the policy house', "did you mean weapons?"),
        ({"gum": "weapons"}, 'no picture has the label "gum"', "there are: gun"),
    ],
)
def test_a_rename_that_means_nothing_is_refused(renamed, complaint: str, hint: str) -> None:
    with pytest.raises(UsageError, match=complaint) as refused:
        LabelNames.of(POLICY, renamed, ["gun"])
    assert hint in refused.value.hint


def test_a_policy_with_a_label_called_safe_is_refused() -> None:
    policy = replace(POLICY, labels=(WEAPONS, replace(WEAPONS, name="safe")))
    with pytest.raises(UsageError, match='has a label "safe"'):
        LabelNames.of(policy, {}, [])


def test_unknown_names_are_explained_with_the_nearest_labels_and_the_way_out() -> None:
    pictures = [named("weapon"), named("weapon"), named("gore"), named("drugs")]
    said = explain_unknown(pictures, LabelNames.of(POLICY, {}, []), POLICY)
    assert '"weapon" (2 pictures; did you mean weapons?), "gore" (1 picture)' in said
    assert "Its labels are weapons, drugs." in said
    assert "--rename NAME=LABEL" in said


def test_known_names_need_no_explanation() -> None:
    assert explain_unknown([named("weapons")], LabelNames.of(POLICY, {}, []), POLICY) == ""
