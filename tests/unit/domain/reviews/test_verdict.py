"""What a policy asks of an answer, and which answers a second person gives too."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.policies.policy import Action, Label, Policy, Reviewing
from worker.domain.reviews.verdict import Answer, check_answer, needs_second_review, second_review_share
from worker.errors import InvalidVerdictError

LABELS = (
    Label("weapons", ("a handgun",), reviewing=Reviewing(needs_reason=True, second_share=0.5)),
    Label("alcohol", ("a beer",), reviewing=Reviewing(needs_reason=False, second_share=0.0)),
    Label("drugs", ("a pill",)),
)
POLICY = Policy("posts", ("a person",), LABELS)
STRICT = replace(POLICY, reviewing=Reviewing(needs_reason=True, second_share=0.1))


def answer(*labels, reason=""):
    return Answer(Action.BLOCK, frozenset(labels), reason)


def test_a_reason_is_asked_for_by_the_label_that_is_flagged_or_found():
    check_answer(answer("alcohol"), POLICY, ["alcohol"])
    for given_answer, flagged in ((answer(), ["weapons"]), (answer("weapons"), ["alcohol"])):
        with pytest.raises(InvalidVerdictError, match="requires a reason for every verdict about weapons"):
            check_answer(given_answer, POLICY, flagged)
        check_answer(replace(given_answer, reason="a rifle"), POLICY, flagged)


def test_a_policy_asks_for_all_that_say_nothing_of_their_own():
    check_answer(answer("drugs"), POLICY, [])
    with pytest.raises(InvalidVerdictError, match="about drugs"):
        check_answer(answer("drugs"), STRICT, [])
    with pytest.raises(InvalidVerdictError, match=r"requires a reason for every verdict$"):
        check_answer(answer(), STRICT, [])


def test_a_label_that_the_policy_does_not_have_is_named():
    with pytest.raises(InvalidVerdictError, match="the policy posts has no label 'guns'") as error:
        check_answer(answer("guns"), POLICY, [])
    assert error.value.hint == "its labels are weapons, alcohol, drugs"


@pytest.mark.parametrize(
    ("policy", "labels", "flagged", "share"),
    [
        (POLICY, [], [], 0.0),
        (POLICY, ["weapons"], [], 0.5),
        (POLICY, [], ["alcohol", "weapons"], 0.5),
        (STRICT, [], [], 0.1),
        (STRICT, ["drugs"], ["alcohol"], 0.1),
        (STRICT, [], ["alcohol"], 0.0),
    ],
)
def test_the_largest_share_of_what_is_involved_counts(policy, labels, flagged, share):
    assert second_review_share(policy, answer(*labels), flagged) == share


@given(st.text(max_size=20), st.floats(0, 1), st.floats(0, 1))
def test_who_is_in_a_sample_is_in_every_larger_one(submission_id, share, more):
    small, large = sorted((share, more))
    assert not needs_second_review(submission_id, small) or needs_second_review(submission_id, large)
    assert not needs_second_review(submission_id, 0.0)
    assert needs_second_review(submission_id, 1.0)


def test_the_sample_is_as_large_as_the_share():
    drawn = sum(needs_second_review(f"upload-{n}", 0.1) for n in range(5000))
    assert 400 < drawn < 600
