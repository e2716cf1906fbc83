"""The lines of a suggestion are YAML that says what was suggested, whatever the phrase is."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.evaluation.suggesting.suggestions import Change, Edit, Effect, Place
from worker.reports import suggestion_wording as wording

WORDS = st.text(st.characters(categories=["L", "N", "P", "Zs"]), min_size=1, max_size=20)
ADDED = [Place.BACKGROUND, Place.LOOKALIKES]


def edit_of(place, phrase, label):
    return Edit(place, phrase, None if place is Place.BACKGROUND else label)


def nested(path, value):
    for key in reversed(path):
        value = {key: value}
    return value


@given(st.sampled_from(ADDED), WORDS, WORDS)
def test_the_lines_of_an_addition_read_as_the_phrase_at_its_place(place, phrase, label):
    edit = edit_of(place, phrase, label)
    assert yaml.safe_load(wording.lines(edit)) == nested(edit.path, [phrase])


@pytest.mark.parametrize(
    "phrase", ["no", "Off", "null", "1980", "a: b", "a #1", "- a", "it's", "~", "a, b", "x\\y"]
)
def test_what_yaml_would_read_otherwise_is_quoted(phrase):
    edit = Edit(Place.BACKGROUND, phrase)
    assert yaml.safe_load(wording.lines(edit)) == {"background": [phrase]}


def test_an_ordinary_phrase_needs_no_quotes():
    assert (
        wording.lines(Edit(Place.LOOKALIKES, "a cat's toy", "weapons")).splitlines()[-1].strip()
        == "- a cat's toy"
    )


def test_a_removal_is_a_line_that_is_commented_out():
    edit = Edit(Place.PROMPTS, "a bong", "drugs")
    assert wording.title(edit) == "Remove from the prompts of drugs, or sharpen"
    assert wording.lines(edit).splitlines()[-1] == "      # - a bong"


def test_an_effect_says_what_is_gained_and_what_is_lost():
    change = Change(Edit(Place.LOOKALIKES, "a hose", "drugs"), Effect(31, 44, 1, 12, 5, 60), ())
    assert wording.effect(change, by_verdict=True) == (
        "takes away 31 of 44 false flags of drugs, loses 1 of 12 right ones; also 5 of 60 flags without a verdict"
    )
    assert wording.effect(change, by_verdict=False) == "takes away 5 of 60 flags without a verdict"
    assert wording.examples(change) == ""
