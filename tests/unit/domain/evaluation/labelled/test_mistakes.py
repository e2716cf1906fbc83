"""The worst mistakes come first."""

from support.labelled import WEAPONS, judged

from worker.domain.evaluation.labelled.mistakes import decisive_phrases, worst_mistakes

PICTURES = [
    judged("missed", "weapons", weapons=0.4),
    judged("missed by far", "weapons", weapons=0.1),
    judged("found", "weapons", weapons=0.5),
    judged("flagged", weapons=0.5),
    judged("flagged by far", "drugs", weapons=0.9),
    judged("passed", weapons=0.49),
]


def names(pictures):
    return [str(one.picture.file) for one in pictures]


def test_mistakes_are_ordered_by_how_far_off_they_are() -> None:
    mistakes = worst_mistakes(WEAPONS, PICTURES, most=6)
    assert names(mistakes.missed) == ["missed by far", "missed"]
    assert names(mistakes.false_positives) == ["flagged by far", "flagged"]


def test_no_more_than_asked_for_are_kept() -> None:
    mistakes = worst_mistakes(WEAPONS, PICTURES, most=1)
    assert names((*mistakes.missed, *mistakes.false_positives)) == ["missed by far", "flagged by far"]


def test_the_phrase_that_is_more_like_the_picture_won() -> None:
    assert decisive_phrases(judged("x", weapons=0.9).scores["weapons"]) == ("a gun", "an animal")
    assert decisive_phrases(judged("x", weapons=0.1).scores["weapons"]) == ("an animal", "a gun")
