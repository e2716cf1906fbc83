"""Thresholds become actions, and every action has its reason."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.moderation.decision import decide, decide_undecodable, decide_unreadable, hold_back
from worker.domain.moderation.picture import PictureFacts
from worker.domain.moderation.scoring import LabelScore
from worker.domain.moderation.seen import WHOLE, Seen
from worker.domain.moderation.view import FIRST, View
from worker.domain.policies.policy import Action, Label, Policy
from worker.domain.reviews.review import ReviewKind, kind_of_review, priority
from worker.errors import UndecodableKind, UndecodablePictureError

WEAPONS = Label("weapons", ("a handgun",), review=0.5, block=0.9, severity=4)
ALCOHOL = Label("alcohol", ("a beer",), review=0.3, severity=2)
POLICY = Policy("posts", ("a person",), (WEAPONS, ALCOHOL))


def scored(label: str, value: float, view: View = FIRST) -> LabelScore:
    return LabelScore(label, value, f"a {label} prompt", 0.25, "a person", 0.21, view)


def decided(weapons: float, alcohol: float):
    return decide(POLICY, [scored("weapons", weapons), scored("alcohol", alcohol)])


def test_below_every_threshold_a_picture_is_allowed():
    decision = decided(0.49, 0.29)
    assert (decision.action, decision.flagged, decision.severity) == (Action.ALLOW, (), 0)
    assert decision.reason == "no label reached its threshold; nearest weapons 0.49"


def test_at_a_threshold_it_acts():
    assert decided(0.5, 0).action is Action.REVIEW
    assert decided(0.9, 0).action is Action.BLOCK
    assert decided(0, 0.3).action is Action.REVIEW


def test_without_a_block_threshold_nothing_is_blocked():
    assert decided(0, 1).action is Action.REVIEW


def test_a_label_that_excludes_it_keeps_every_label_from_blocking():
    art = Label("art", ("a painting",), review=0.5, exclude_from_automatic_block=True)
    policy = replace(POLICY, labels=(*POLICY.labels, art))

    def with_art(score: float):
        return decide(policy, [scored("weapons", 0.95), scored("alcohol", 0), scored("art", score)])

    assert with_art(0.4).action is Action.BLOCK
    assert with_art(0.6).action is Action.REVIEW
    assert with_art(0.6).reason.endswith("; not blocked at once because of art")
    assert with_art(0.6).flagged == ("weapons", "art")


@pytest.mark.parametrize("by_scores", [0.1, 0.6, 0.95])
@pytest.mark.parametrize("on_partly_seen", Action)
def test_a_picture_that_is_partly_seen_is_judged_no_milder_than_its_policy_says(by_scores, on_partly_seen):
    policy = replace(POLICY, on_partly_seen=on_partly_seen)
    scores = [scored("weapons", by_scores), scored("alcohol", 0)]
    whole, half, less = (
        decide(policy, scores, seen) for seen in (WHOLE, Seen(0.5, 0.5), Seen(time_share=0.499))
    )
    actions = list(Action)

    assert replace(half, reason=whole.reason) == whole
    assert actions.index(less.action) == max(actions.index(whole.action), actions.index(on_partly_seen))
    assert (less.scores, less.flagged, less.severity) == (whole.scores, whole.flagged, whole.severity)
    assert less.reason == f"{whole.reason}; frames shown for 49% of the time were looked at"


def test_a_picture_that_is_partly_seen_goes_to_a_person_by_default():
    assert decided(0.1, 0.1).action is Action.ALLOW
    assert decide(POLICY, [scored("weapons", 0.1)], Seen(time_share=0.31)).action is Action.REVIEW


def test_the_reason_names_the_share_of_the_area_too():
    decision = decide(POLICY, [scored("weapons", 0.1)], Seen(0.29, 0.4))
    assert decision.reason.endswith(
        "; frames shown for 29% of the time were looked at; 40% of the picture was looked at"
    )


def test_a_label_that_excludes_it_keeps_a_partly_seen_picture_from_blocking():
    art = Label("art", ("a painting",), review=0.5, exclude_from_automatic_block=True)
    policy = Policy("posts", ("a person",), (art,), on_partly_seen=Action.BLOCK)

    assert decide(policy, [scored("art", 0.6)], Seen(0.1)).action is Action.REVIEW
    assert decide(policy, [scored("art", 0.4)], Seen(0.1)).action is Action.BLOCK


def test_a_block_that_is_held_back_is_a_review_and_says_so():
    held = hold_back(decided(0.95, 0), limit=500)
    assert (held.action, held.held_back, held.flagged) == (Action.REVIEW, True, ("weapons",))
    assert held.reason.endswith("; not blocked at once: the limit of 500 an hour is reached")


def test_all_scores_are_kept_in_the_order_of_the_policy():
    assert [s.label for s in decided(0.1, 0.9).scores] == ["weapons", "alcohol"]


def test_the_reason_names_phrases_scores_and_thresholds():
    assert decided(0.93, 0).reason == (
        'weapons 0.93 (block at 0.9): "a weapons prompt" beat "a person" by 0.040'
    )
    assert decided(0.6, 0.35).reason == (
        'weapons 0.60 (review at 0.5): "a weapons prompt" beat "a person" by 0.040; '
        'alcohol 0.35 (review at 0.3): "a alcohol prompt" beat "a person" by 0.040, '
        "but all harmless phrases together won"
    )


def test_the_reason_says_on_which_page_a_transparent_picture_shows_it():
    hidden = scored("weapons", 0.6, View(frame=3, on_black=True))
    assert decide(POLICY, [hidden]).reason.endswith("by 0.040 in the 4th frame looked at on a black page")


def test_the_reason_names_the_frame_of_an_animation():
    assert decide(POLICY, [scored("weapons", 0.6, View(frame=3))]).reason.endswith(
        "by 0.040 in the 4th frame looked at"
    )


@pytest.mark.parametrize(
    ("share", "words"), [(1.0, ""), (0.75, ""), (0.6, "; 60% of the picture was looked at")]
)
def test_the_reason_says_if_much_was_not_looked_at(share, words):
    facts = PictureFacts("a" * 64, "PNG", 9000, 900, 1, parts=6, area_share=share)
    scores = [scored("weapons", 0.6, View(part=5, parts=6))]
    assert decide(POLICY, scores, facts.seen).reason == (
        'weapons 0.60 (review at 0.5): "a weapons prompt" beat "a person" by 0.040 '
        f"in the 6th of 6 parts from the left{words}"
    )
    assert decide(POLICY, [scored("weapons", 0)], facts.seen).reason == (
        f"no label reached its threshold; nearest weapons 0.00{words}"
    )


def test_what_blocks_comes_before_what_is_more_severe():
    strict = Label("tobacco", ("a cigarette",), review=0.5, block=0.6, severity=1)
    policy = replace(POLICY, labels=(WEAPONS, strict))
    decision = decide(policy, [scored("weapons", 0.7), scored("tobacco", 0.7)])
    assert (decision.action, decision.flagged) == (Action.BLOCK, ("tobacco", "weapons"))
    assert decision.severity == 4


def test_of_equally_severe_labels_the_stronger_comes_first():
    policy = replace(POLICY, labels=(WEAPONS, replace(ALCOHOL, severity=4)))
    decision = decide(policy, [scored("weapons", 0.6), scored("alcohol", 0.7)])
    assert decision.flagged == ("alcohol", "weapons")


def test_a_policy_without_labels_allows_and_says_why():
    decision = decide(replace(POLICY, labels=()), [])
    assert (decision.action, decision.reason) == (Action.ALLOW, "the policy has no labels")


@pytest.mark.parametrize("action", list(Action))
def test_what_cannot_be_judged_is_decided_by_the_policy(action):
    refusal = UndecodablePictureError("the file is empty", kind=UndecodableKind.EMPTY)
    undecodable = decide_undecodable(replace(POLICY, on_undecodable=action), refusal)
    unreadable = decide_unreadable(replace(POLICY, on_error=action), "there is no such file")
    assert (undecodable.action, unreadable.action) == (action, action)
    assert undecodable.reason == "not judged, the file is empty"
    assert unreadable.reason == "not judged, there is no such file"
    assert undecodable.scores == unreadable.scores == ()


@pytest.mark.parametrize(
    ("kind", "action"), [("pdf", Action.ALLOW), ("svg", Action.BLOCK), ("tiff", Action.REVIEW)]
)
def test_what_cannot_be_judged_is_decided_by_its_kind(kind, action):
    kinds = ((UndecodableKind.PDF, Action.ALLOW), (UndecodableKind.SVG, Action.BLOCK))
    refusal = UndecodablePictureError("it is a file", kind=UndecodableKind(kind))

    decision = decide_undecodable(replace(POLICY, on_undecodable_kinds=kinds), refusal)

    assert (decision.action, decision.reason) == (action, "not judged, it is a file")


LABELS = st.lists(
    st.builds(
        lambda name, low, high, severity: Label(
            name, ("x",), review=low, block=max(low, high) if high is not None else None, severity=severity
        ),
        st.text("abcdef", min_size=1),
        st.floats(0, 1),
        st.none() | st.floats(0, 1),
        st.integers(1, 5),
    ),
    max_size=5,
    unique_by=lambda label: label.name,
)


@given(LABELS, st.data())
def test_the_action_is_the_gravest_whose_threshold_is_reached(labels, data):
    policy = Policy("p", ("a person",), tuple(labels))
    scores = [scored(label.name, data.draw(st.floats(0, 1))) for label in labels]
    decision = decide(policy, scores)
    blocks = [
        s.label
        for s, label in zip(scores, labels, strict=True)
        if label.block is not None and s.score >= label.block
    ]
    reviews = [s.label for s, label in zip(scores, labels, strict=True) if s.score >= label.review]
    expected = Action.BLOCK if blocks else Action.REVIEW if reviews else Action.ALLOW
    assert decision.action is expected
    assert sorted(decision.flagged) == sorted(reviews)
    assert set(decision.flagged[: len(blocks)]) == set(blocks)
    assert decision.severity == max((policy.label(name).severity for name in reviews), default=0)
    assert kind_of_review(decision, drawn=False) == (
        ReviewKind.DECISION if expected is Action.REVIEW else None
    )


@given(LABELS, st.data())
def test_the_order_of_labels_decides_nothing(labels, data):
    scores = {label.name: scored(label.name, data.draw(st.floats(0, 1))) for label in labels}
    decisions = [
        decide(Policy("p", ("a person",), tuple(order)), [scores[label.name] for label in order])
        for order in (labels, labels[::-1])
    ]
    assert decisions[0].action is decisions[1].action
    assert sorted(decisions[0].flagged) == sorted(decisions[1].flagged)
    assert priority(decisions[0]) == priority(decisions[1])
