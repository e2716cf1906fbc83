"""A policy's digest is over what it means."""

from dataclasses import replace

import pytest

from worker.domain.policies.policy import Action, Label, Policy, PolicyTest, Reviewing, Scoring
from worker.errors import UndecodableKind

POLICY = Policy(
    name="posts",
    background=("a person", "a tree"),
    labels=(
        Label("weapons", ("a handgun",), "Guns.", ("a toy",), 0.5, 0.9, 4),
        Label("alcohol", ("a beer", "a wine")),
    ),
)
WEAPONS, ALCOHOL = POLICY.labels


def test_the_order_of_labels_does_not_change_the_digest():
    assert replace(POLICY, labels=(ALCOHOL, WEAPONS)).digest == POLICY.digest


def test_an_equal_policy_has_the_same_digest():
    assert replace(POLICY, labels=(replace(WEAPONS), replace(ALCOHOL))).digest == POLICY.digest


@pytest.mark.parametrize(
    "change",
    [
        {"name": "avatars"},
        {"description": "x"},
        {"background": ("a person",)},
        {"templates": ("{}",)},
        {"on_undecodable": Action.BLOCK},
        {"on_undecodable_kinds": ((UndecodableKind.PDF, Action.ALLOW),)},
        {"on_error": Action.ALLOW},
        {"on_partly_seen": Action.ALLOW},
        {"labels": (WEAPONS,)},
        {"automatic_blocks_per_hour": 500},
        {"share_of_allowed": 0.01},
        {"reviewing": Reviewing(queue="general")},
        {"reviewing": Reviewing(second_share=0.05)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_change_of_the_policy_changes_the_digest(change):
    assert replace(POLICY, **change).digest != POLICY.digest


@pytest.mark.parametrize(
    "change",
    [
        {"name": "guns"},
        {"prompts": ("a rifle",)},
        {"description": ""},
        {"lookalikes": ()},
        {"review": 0.6},
        {"block": None},
        {"severity": 5},
        {"exclude_from_automatic_block": True},
        {"reviewing": Reviewing(within_minutes=30)},
        {"reviewing": Reviewing(needs_reason=False)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_change_of_a_label_changes_the_digest(change):
    assert replace(POLICY, labels=(replace(WEAPONS, **change), ALCOHOL)).digest != POLICY.digest


def test_a_phrase_moved_to_another_label_changes_the_digest():
    moved = (replace(WEAPONS, prompts=("a handgun", "a beer")), replace(ALCOHOL, prompts=("a wine",)))
    assert replace(POLICY, labels=moved).digest != POLICY.digest


def test_the_digest_is_the_same_in_every_process_and_version():
    # Decisions in the database name it: whoever changes this must know what it does to them.
    assert POLICY.digest == "518b2181dcba388825b4b75b689f720e6a543ef98d9698cc10266da109cd043d"


def test_every_phrase_gets_a_vector():
    assert list(POLICY.phrases()) == ["a person", "a tree", "a handgun", "a toy", "a beer", "a wine"]


def test_a_label_is_found_by_its_name():
    assert POLICY.label("alcohol") is ALCOHOL
    with pytest.raises(KeyError, match="tobacco"):
        POLICY.label("tobacco")


def test_actions_are_ordered_from_mild_to_grave_and_are_their_words():
    assert [str(action) for action in Action] == ["allow", "review", "block"]


def test_its_tests_and_whether_it_is_a_shadow_do_not_change_the_digest():
    tests = (PolicyTest("cases/pistol.png", Action.REVIEW, frozenset({"weapons"})),)
    assert replace(POLICY, shadow=True, tests=tests).digest == POLICY.digest


def test_digests_that_are_stored_already_stay_what_they_are():
    assert (
        replace(POLICY, scoring=Scoring.BEST).digest
        == "3fd6b104c394d4ceb25a8c0c002fdac84f98ba6a2bb9e5d1867eb3df2f7d5fe9"
    )
