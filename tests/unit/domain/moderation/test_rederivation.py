"""What is said of a decision that comes out differently the second time."""

from dataclasses import replace

from worker.domain.moderation.decision import Decision
from worker.domain.moderation.rederivation import differences
from worker.domain.moderation.scoring import MOST_SCORES, LabelScore
from worker.domain.policies.policy import Action

WEAPONS = LabelScore("weapons", 0.75, "a handgun", 0.3, "a person", 0.25)
MADE = Decision(Action.REVIEW, "weapons 0.75", (WEAPONS,), ("weapons",), severity=4)


def compared(again: Decision) -> list[str]:
    return list(differences(MADE.action, MADE.flagged, MADE.scores, again))


def test_the_same_is_the_same_up_to_the_last_bits():
    assert compared(MADE) == []
    assert compared(replace(MADE, scores=(replace(WEAPONS, score=0.7503, prompt_cosine=0.30002),))) == []


def test_of_two_phrases_equally_near_either_may_win():
    assert compared(replace(MADE, scores=(replace(WEAPONS, background="an animal"),))) == []


def test_what_differs_is_named():
    other = replace(WEAPONS, score=0.2, background="an animal", background_cosine=0.35)
    again = Decision(Action.ALLOW, "", (other, replace(WEAPONS, label="alcohol")))
    assert compared(again) == [
        "action: recorded review, now allow",
        "flagged: recorded weapons, now nothing",
        "label alcohol: scored now, but not recorded",
        "label weapons: score recorded 0.7500, now 0.2000",
        'label weapons: background recorded "a person", now "an animal"',
    ]
    assert compared(replace(MADE, scores=())) == ["label weapons: recorded, but not scored now"]


def test_of_many_labels_those_that_are_as_low_as_the_lowest_may_be_told_or_not():
    many = [replace(WEAPONS, label=f"label {n}", score=0.5 - n / 1000) for n in range(MOST_SCORES + 1)]
    recorded, again = many[:-1], [*many[:-2], replace(many[-1], score=many[-2].score)]
    assert list(differences(Action.ALLOW, (), recorded, Decision(Action.ALLOW, "", tuple(again)))) == []
    again[0] = replace(WEAPONS, label="alcohol")
    assert list(differences(Action.ALLOW, (), recorded, Decision(Action.ALLOW, "", tuple(again)))) == [
        "label label 0: recorded, but not scored now",
        "label alcohol: scored now, but not recorded",
    ]
