"""Which scores decided a test, and whether what came is what was expected."""

import pytest

from worker.domain.evaluation.expectation import decisive_scores, in_words, meets
from worker.domain.moderation.decision import Decision, decide, decide_undecodable
from worker.domain.moderation.scoring import LabelScore
from worker.domain.policies.policy import Action, Label, Policy, PolicyTest
from worker.errors import UndecodablePictureError

POLICY = Policy(
    "p",
    background=("a person",),
    labels=(
        Label("weapons", ("a handgun",), review=0.5, block=0.9),
        Label("alcohol", ("a beer",), review=0.6),
        Label("fire", ("a flame",), review=0.5),
    ),
)


def decided(weapons, alcohol, fire):
    scores = {"weapons": (weapons, "a handgun"), "alcohol": (alcohol, "a beer"), "fire": (fire, "a flame")}
    return decide(
        POLICY,
        [
            LabelScore(label, score, prompt, 0.3, "a person", 0.3 - (score - 0.5) / 10)
            for label, (score, prompt) in scores.items()
        ],
    )


def expecting(action=None, labels=None):
    return PolicyTest("a.png", action, None if labels is None else frozenset(labels))


@pytest.mark.parametrize(
    ("test", "met"),
    [
        (expecting(Action.BLOCK), True),
        (expecting(Action.REVIEW), False),
        (expecting(labels=["alcohol", "weapons"]), True),
        (expecting(labels=["weapons"]), False),
        (expecting(labels=[]), False),
        (expecting(Action.BLOCK, ["weapons", "alcohol"]), True),
        (expecting(Action.REVIEW, ["weapons", "alcohol"]), False),
    ],
)
def test_an_action_any_and_labels_exactly(test, met):
    assert meets(test, decided(0.95, 0.7, 0.1)) is met


def named(test, decision):
    return [(s.score.label, s.action, s.threshold) for s in decisive_scores(POLICY, test, decision)]


def test_what_was_expected_and_what_came_decides():
    assert named(expecting(labels=["weapons"]), decided(0.4, 0.7, 0.1)) == [
        ("weapons", Action.REVIEW, 0.5),
        ("alcohol", Action.REVIEW, 0.6),
    ]


def test_where_a_block_came_or_was_expected_its_threshold_counts():
    expected = [("weapons", Action.BLOCK, 0.9)]
    assert named(expecting(Action.BLOCK), decided(0.7, 0, 0)) == expected
    assert named(expecting(Action.REVIEW), decided(0.95, 0, 0)) == expected


def test_where_nothing_came_and_nothing_was_expected_the_nearest_label_decides():
    (nearest,) = decisive_scores(POLICY, expecting(Action.ALLOW), decided(0.1, 0.52, 0.41))
    assert (nearest.score.label, nearest.distance) == ("alcohol", pytest.approx(-0.08))


def test_what_could_not_be_judged_has_no_scores():
    undecodable = decide_undecodable(POLICY, UndecodablePictureError("broken"))
    assert decisive_scores(POLICY, expecting(Action.ALLOW), undecodable) == ()


def test_a_score_says_which_phrase_won():
    lost, won = decisive_scores(POLICY, expecting(labels=["weapons"]), decided(0.4, 0.7, 0.1))
    assert str(lost) == 'weapons 0.40 (review at 0.5): "a handgun" lost to "a person" by 0.010'
    assert str(won) == 'alcohol 0.70 (review at 0.6): "a beer" beat "a person" by 0.020'


def test_outcomes_are_said_in_words():
    decision = Decision(Action.REVIEW, "", flagged=("weapons", "alcohol"))
    assert in_words(decision.action, decision.flagged) == "review, alcohol, weapons"
    assert in_words(Action.ALLOW, None) == "allow"
    assert in_words(None, frozenset()) == "no label"
