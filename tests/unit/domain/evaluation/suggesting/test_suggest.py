"""Suggestions are those that help on pictures that they were not chosen on, and their effects are real."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from support.thing_world import SCALE, THINGS, phrase_vectors, sample_of, suggestions

from worker.domain.evaluation.backtest import Backtest
from worker.domain.evaluation.suggesting.sample import FALSE, RIGHT, UNKNOWN
from worker.domain.evaluation.suggesting.suggestions import Edit, Place
from worker.domain.policies.policy import Label, Policy

WEAPONS = Policy("p", ("anything",), (Label("weapons", ("gun",)), Label("drugs", ("bong",))))
#: Between two things: the model takes a drill for a gun, and a vase for a bong.
MIXED = {"gunlike": ("gun", "drill"), "bonglike": ("bong", "vase")}
VECTORS = phrase_vectors(**MIXED)
THIN = replace(WEAPONS, labels=(Label("weapons", ("gun", "gunlike")), Label("drugs", ("bong", "bonglike"))))
NOUNS = ("cat", "dog", "tree", "drill", "vase", "pen")


def edited(policy: Policy, edit: Edit) -> Policy:
    """Return the policy after a person accepted a suggestion."""
    if edit.place is Place.BACKGROUND:
        return replace(policy, background=(*policy.background, edit.phrase))
    label = policy.label(str(edit.label))
    if edit.place is Place.LOOKALIKES:
        new = replace(label, lookalikes=(*label.lookalikes, edit.phrase))
    else:
        new = replace(label, prompts=tuple(prompt for prompt in label.prompts if prompt != edit.phrase))
    return replace(policy, labels=tuple(new if one is label else one for one in policy.labels))


def flagged(policy, sample, vectors=VECTORS):
    """Return which pictures each label flags by the ordinary rule, shape (pictures, labels)."""
    (outcome,) = Backtest([(policy, vectors)], SCALE).judge(sample.vectors, sample.views)
    return outcome.flagged.T


def mixed_uploads(policy=THIN, verdict=True):
    """Return guns, drills, bongs, vases and cats; a person said what each is."""
    shown = [*["gun"] * 40, *["drill"] * 40, *["bong"] * 20, *["vase"] * 30, *["cat"] * 60]
    truth = {"gun": "weapons", "bong": "drugs"}
    return sample_of(policy, shown, [truth.get(thing, "") if verdict else None for thing in shown])


def test_what_takes_false_flags_away_is_suggested_where_it_changes_least():
    found = suggestions(THIN, mixed_uploads(), vectors=VECTORS, nouns=NOUNS)
    assert found.by_verdict
    assert [change.edit for change in found.changes] == [
        Edit(Place.LOOKALIKES, "drill", "weapons"),
        Edit(Place.LOOKALIKES, "vase", "drugs"),
    ]
    first = found.changes[0].effect
    assert (first.false_gone, first.false) == (20, 20)
    assert (first.right_gone, first.right) == (0, 20)
    assert found.left == ()


def test_what_several_labels_trip_over_goes_to_the_background():
    policy = replace(
        THIN, labels=(Label("weapons", ("gun", "gunlike")), Label("tools", ("pen", "gunlike"), review=0.4))
    )
    shown = [*["gun"] * 40, *["drill"] * 40, *["cat"] * 20]
    sample = sample_of(policy, shown, ["weapons" if thing == "gun" else "" for thing in shown])
    found = suggestions(policy, sample, vectors=VECTORS, nouns=NOUNS)
    assert found.changes[0].edit == Edit(Place.BACKGROUND, "drill")


@pytest.mark.parametrize("seed", range(4))
def test_every_effect_is_that_of_the_policy_with_the_phrase_on_the_half_held_out(seed):
    random = np.random.default_rng(seed)
    shown = random.choice(THINGS[:-1], 400).tolist()
    truth = {"gun": "weapons", "bong": "drugs"}
    labels = [None if random.random() < 0.3 else truth.get(thing, "") for thing in shown]
    sample = sample_of(THIN, shown, labels, seed=seed)
    found = suggestions(THIN, sample, vectors=VECTORS, nouns=NOUNS)
    assert found.changes
    policy = THIN
    for change in found.changes:
        own = [label.name for label in policy.labels] if change.edit.label is None else [change.edit.label]
        counted = sample.is_held_out[:, None] & np.array([label.name in own for label in policy.labels])
        before = flagged(policy, sample) & counted
        policy = edited(policy, change.edit)
        gone = before & ~flagged(policy, sample)
        effect = change.effect
        for truth_is, numbers in (
            (FALSE, (effect.false_gone, effect.false)),
            (RIGHT, (effect.right_gone, effect.right)),
            (UNKNOWN, (effect.unjudged_gone, effect.unjudged)),
        ):
            of_kind = sample.truth == truth_is
            assert numbers == ((gone & of_kind).sum(), (before & of_kind).sum())


def test_nothing_is_suggested_from_verdicts_that_have_no_pattern():
    random = np.random.default_rng(1)
    shown = random.choice(THINGS[:-1], 300).tolist()
    chosen = 0
    for seed in range(10):
        labels = np.random.default_rng(seed).choice(["weapons", ""], 300).tolist()
        found = suggestions(THIN, sample_of(THIN, shown, labels), vectors=VECTORS, nouns=NOUNS)
        chosen += sum(
            change.edit.place is Place.LOOKALIKES
            for change in found.changes
            if change.edit.label == "weapons"
        )
    assert chosen == 0


def test_a_phrase_that_costs_right_flags_is_not_suggested():
    """Half of the drills are weapons after all: the noun would take those flags away too."""
    shown = [*["gun"] * 40, *["drill"] * 80]
    labels = [*["weapons"] * 40, *["weapons", "weapons", "", ""] * 20]
    sample = sample_of(THIN, shown, labels)
    found = suggestions(THIN, sample, vectors=VECTORS, nouns=NOUNS)
    assert [change.edit.phrase for change in found.changes] == []
    (left,) = found.left
    assert (left.label, left.count, left.looks[0].noun) == ("weapons", 40, "drill")


def test_an_effect_on_the_choosing_half_alone_is_none():
    """Drills are false flags only among the pictures that choose."""
    shown = [*["gun"] * 40, *["drill"] * 80]
    labels = [*["weapons"] * 40, *["", "weapons"] * 40]
    found = suggestions(THIN, sample_of(THIN, shown, labels), vectors=VECTORS, nouns=NOUNS)
    assert found.changes == ()


def test_a_prompt_that_no_noun_helps_is_removed_if_it_finds_little_that_is_right():
    sample = mixed_uploads()
    found = suggestions(THIN, sample, vectors=VECTORS, nouns=["cat"])
    assert {change.edit for change in found.changes} == {
        Edit(Place.PROMPTS, "gunlike", "weapons"),
        Edit(Place.PROMPTS, "bonglike", "drugs"),
    }
    worst = found.prompts[0]
    assert (worst.label, worst.prompt, worst.false, worst.false_of_label) == ("weapons", "gunlike", 40, 40)
    assert (worst.right_alone, worst.right_of_label) == (0, 40)


def test_without_right_flags_the_cost_of_a_removal_is_unknown():
    shown = ["drill"] * 60
    found = suggestions(THIN, sample_of(THIN, shown, [""] * 60), vectors=VECTORS, nouns=["cat"])
    assert found.changes == ()
    assert found.prompts[0].prompt == "gunlike"


def test_the_only_prompt_of_a_label_stays():
    policy = replace(THIN, labels=(Label("weapons", ("gunlike",)),))
    shown = [*["gun"] * 20, *["drill"] * 60]
    sample = sample_of(policy, shown, ["weapons" if thing == "gun" else "" for thing in shown])
    assert suggestions(policy, sample, vectors=VECTORS, nouns=["cat"]).changes == ()


def test_what_a_label_looks_for_is_no_candidate():
    """The model does not distinguish "weapon" from the prompt; it would hide every gun."""
    vectors = phrase_vectors(**MIXED, weapon=("gun",))
    shown = [*["gun"] * 20, *["drill"] * 60]
    sample = sample_of(THIN, shown, [""] * 80)
    found = suggestions(THIN, sample, vectors=vectors, nouns=["weapon", "drill"])
    assert [change.edit.phrase for change in found.changes] == ["drill"]


def test_an_audited_picture_counts_for_all_that_it_stands_for():
    """Each false flag on a drill stands for one, each right one for a hundred."""
    shown = [*["gun"] * 40, *["drill"] * 80]
    labels = [*["weapons"] * 40, *["weapons", "weapons", *[""] * 14] * 5]
    found = [
        suggestions(THIN, sample_of(THIN, shown, labels, weights=weights), vectors=VECTORS, nouns=NOUNS)
        for weights in (None, [100.0 if label else 1.0 for label in labels])
    ]
    assert [len(one.changes) for one in found] == [1, 0]


def test_without_verdicts_busy_labels_lose_what_many_people_upload():
    sample = mixed_uploads(verdict=False)
    found = suggestions(THIN, sample, vectors=VECTORS, nouns=NOUNS, flagged=[80, 0])
    assert not found.by_verdict
    assert [change.edit for change in found.changes] == [Edit(Place.LOOKALIKES, "drill", "weapons")]
    assert found.changes[0].effect.unjudged_gone == 20
    assert found.prompts == found.left == ()
    (busy,) = found.busy
    assert (busy.label, busy.share) == ("weapons", 80 / 190)
    assert [look.noun for look in busy.looks][:1] == ["drill"]


def test_without_verdicts_a_label_that_flags_little_is_left_alone():
    found = suggestions(THIN, mixed_uploads(verdict=False), vectors=VECTORS, nouns=NOUNS)
    assert (found.changes, found.busy) == ((), ())


def test_uploads_that_no_background_phrase_names_are_named():
    found = suggestions(THIN, mixed_uploads(), vectors=VECTORS, nouns=NOUNS)
    named = {look.noun: look.share for look in found.unnamed}
    assert named["cat"] == pytest.approx(60 / 190)
    with_cats = replace(THIN, background=("anything", "cat"))
    assert "cat" not in {
        look.noun
        for look in suggestions(with_cats, mixed_uploads(with_cats), vectors=VECTORS, nouns=NOUNS).unnamed
    }


def no_flags() -> Sequence[str]:
    return ["cat"] * 60


def test_a_policy_that_flags_nothing_gets_no_changes():
    sample = sample_of(THIN, no_flags(), [""] * 60)
    found = suggestions(THIN, sample, vectors=VECTORS, nouns=NOUNS)
    assert (found.changes, found.prompts, found.left, found.false, found.right) == ((), (), (), 0, 0)


def test_a_label_s_only_prompt_finds_all_that_it_finds():
    policy = replace(THIN, labels=(Label("weapons", ("gunlike",)),))
    shown = [*["gun"] * 20, *["drill"] * 60]
    sample = sample_of(policy, shown, ["weapons" if thing == "gun" else "" for thing in shown])
    (found,) = suggestions(policy, sample, vectors=VECTORS, nouns=["cat"]).prompts
    assert (found.right_alone, found.right_of_label) == (20, 20)
