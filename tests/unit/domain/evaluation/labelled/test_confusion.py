"""What a label is taken in by."""

from support.labelled import WEAPONS, judged

from worker.domain.evaluation.labelled.confusion import Confusion, PromptCount, RivalCount

PICTURES = [
    judged("hit", "weapons", weapons=0.8, prompt="a gun"),
    judged("missed", "weapons", weapons=0.2, background="a toy pistol"),
    judged("missed too", "weapons", weapons=0.3, background="a toy pistol", drugs=0.7),
    judged("missed for a tool", "weapons", weapons=0.49, background="a tool"),
    judged("spoon", weapons=0.6, prompt="a knife"),
    judged("fork", weapons=0.7, prompt="a knife"),
    judged("pill", "drugs", weapons=0.9, prompt="a gun", drugs=0.9),
    judged("cat"),
]


def test_prompts_are_listed_with_what_they_carry_the_worst_first() -> None:
    assert Confusion.of(WEAPONS, PICTURES).prompts == (
        PromptCount("a knife", hits=0, false_positives=2),
        PromptCount("a gun", hits=1, false_positives=1),
    )


def test_missed_pictures_are_counted_by_the_phrase_that_they_are_most_like() -> None:
    assert Confusion.of(WEAPONS, PICTURES).rivals == (
        RivalCount("a toy pistol", is_lookalike=True, missed=2),
        RivalCount("a tool", is_lookalike=False, missed=1),
    )


def test_other_labels_are_named() -> None:
    confusion = Confusion.of(WEAPONS, PICTURES)
    assert confusion.flagged_instead == (("drugs", 1),)
    assert confusion.really == (("safe", 2), ("drugs", 1))


def test_a_label_without_mistakes_has_prompts_alone() -> None:
    confusion = Confusion.of(WEAPONS, [PICTURES[0], PICTURES[-1]])
    assert (confusion.rivals, confusion.flagged_instead, confusion.really) == ((), (), ())
