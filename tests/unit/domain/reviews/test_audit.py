"""The audit sample can be drawn again by anyone, and its share is the one that was asked for."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from worker.domain.moderation.decision import Decision
from worker.domain.policies.policy import Action, Label, Policy
from worker.domain.reviews.audit import audit_probability, is_drawn

POLICY = Policy("posts", ("a person",), (Label("weapons", ("a handgun",)),), share_of_allowed=0.1)
ALLOWED = Decision(Action.ALLOW, "")


def test_only_what_is_allowed_can_be_drawn():
    assert audit_probability(POLICY, ALLOWED) == 0.1
    assert audit_probability(POLICY, Decision(Action.REVIEW, "")) is None
    assert audit_probability(replace(POLICY, share_of_allowed=0.0), ALLOWED) is None


def test_the_share_is_kept():
    drawn = sum(is_drawn("posts", f"upload-{n}", 0.1) for n in range(20_000))
    # Five standard deviations: 5 * sqrt(20,000 * 0.1 * 0.9) = 212.
    assert abs(drawn - 2000) < 212


@given(st.text(min_size=1), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_keeps_what_a_smaller_one_drew(submission_id, one, other):
    small, large = sorted((one, other))
    assert is_drawn("posts", submission_id, large) or not is_drawn("posts", submission_id, small)


def test_nothing_and_everything():
    assert not is_drawn("posts", "upload-1", None)
    assert not is_drawn("posts", "upload-1", 0.0)
    assert is_drawn("posts", "upload-1", 1.0)
