"""What a policy learned changes the logits of its labels, survives storage, and ends with its phrases."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.moderation.learned import Adjustment, Learned, LearnedLabel, contest_digest, nearest
from worker.domain.moderation.scoring import PhraseVectors, Scorer
from worker.domain.policies.policy import Label, Policy
from worker.errors import InvalidLearnedError

DIMENSION = 8
POLICY = Policy("p", ("a street", "a tree"), (Label("weapons", ("a gun",)), Label("alcohol", ("a beer",))))
PHRASES = ["a street", "a tree", "a gun", "a beer"]


def unit(seed, rows):
    matrix = np.random.default_rng(seed).normal(size=(rows, DIMENSION))
    # As vectors are stored.
    stored = (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float16)
    return stored.astype(np.float32)


def learned(label, archive=None):
    return Learned("m" * 64, unit(1, 40) if archive is None else archive, {"weapons": label})


def contest(policy=POLICY):
    return contest_digest(policy, policy.label("weapons"))


HEAD = LearnedLabel(contest(), unit(2, 3), 1.3, -0.4, np.linspace(-1, 1, DIMENSION, dtype=np.float32))


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_a_label_about_which_nothing_was_learned_keeps_its_logit(seed, views):
    logits, embedding = np.random.default_rng(seed).normal(size=(views, 2)), unit(seed, views)
    found = Adjustment(POLICY, learned(HEAD))(logits, embedding, 100.0)
    np.testing.assert_array_equal(found[:, 1], logits[:, 1])
    nothing = LearnedLabel(contest(), unit(0, 0))
    np.testing.assert_array_equal(Adjustment(POLICY, learned(nothing))(logits, embedding, 100.0), logits)


@given(st.integers(0, 2**32 - 1))
def test_many_views_are_changed_as_each_by_itself(seed):
    views = 70  # more than one picture has: a back-test
    logits, embedding = np.random.default_rng(seed).normal(size=(views, 2)), unit(seed, views)
    adjust = Adjustment(POLICY, learned(HEAD))
    one_by_one = np.vstack([adjust(logits[n : n + 1], embedding[n : n + 1], 100.0) for n in range(views)])
    np.testing.assert_allclose(adjust(logits, embedding, 100.0), one_by_one, atol=1e-3)


@given(st.integers(0, 2**32 - 1), st.floats(0, 5))
def test_a_picture_that_its_phrases_show_more_is_shown_more_by_what_was_learned(seed, more):
    logits, embedding = np.random.default_rng(seed).normal(size=(1, 2)), unit(seed, 1)
    adjust = Adjustment(POLICY, learned(HEAD))
    assert adjust(logits + more, embedding, 100.0)[0, 0] >= adjust(logits, embedding, 100.0)[0, 0]


def test_an_example_raises_what_is_nearer_to_it_than_the_archive_is():
    example = unit(3, 1)
    adjust = Adjustment(POLICY, learned(LearnedLabel(contest(), example)))
    logits = np.zeros((1, 2))
    archive = unit(1, 40)
    weight = 0.25  # .5 * k / (k + 1) for one example
    found = adjust(logits, example, 100.0)[0, 0]
    assert found == pytest.approx(weight * 100 * (1 - nearest(example, archive)[0]), abs=1e-2)
    assert adjust(logits, -example, 100.0)[0, 0] < 0


def test_the_nearest_of_the_archive_leave_out_the_picture_itself():
    archive = unit(1, 40)
    cosines = np.sort(archive @ archive[0])[::-1]
    assert nearest(archive[:1], archive)[0] == pytest.approx(cosines[1:6].mean(), abs=1e-5)


@pytest.mark.parametrize(
    "changed",
    [
        replace(POLICY, background=("a street",)),
        replace(POLICY, templates=("{}",)),
        replace(POLICY, labels=(replace(POLICY.labels[0], prompts=("a rifle",)), POLICY.labels[1])),
        replace(POLICY, labels=(replace(POLICY.labels[0], lookalikes=("a drill",)), POLICY.labels[1])),
    ],
)
def test_with_other_phrases_only_the_examples_apply(changed):
    logits, embedding = np.zeros((1, 2)), unit(4, 1)
    examples = LearnedLabel(contest(), HEAD.examples)
    found = Adjustment(changed, learned(HEAD))(logits, embedding, 100.0)
    np.testing.assert_array_equal(found, Adjustment(POLICY, learned(examples))(logits, embedding, 100.0))


def test_another_label_or_threshold_leaves_what_was_learned_valid():
    more = replace(POLICY, labels=(replace(POLICY.labels[0], review=0.9), Label("drugs", ("a pill",))))
    assert contest(more) == contest()


def test_bytes_give_back_the_same():
    before = learned(HEAD)
    after = Learned.from_bytes(before.to_bytes())
    assert after.digest == before.digest
    np.testing.assert_array_equal(after.archive, before.archive)
    one, other = before.labels["weapons"], after.labels["weapons"]
    np.testing.assert_array_equal(one.weights, other.weights)
    np.testing.assert_array_equal(one.examples, other.examples)
    assert (one.contest, one.slope, one.intercept) == (other.contest, other.slope, other.intercept)


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda data: b"x" + data,
        lambda data: data[:-1],
        lambda data: data + b"\0\0",
        lambda data: data.replace(b'"contest"', b'"conTest"'),
        lambda data: data[:-4] + np.float32(np.nan).tobytes(),
    ],
)
def test_damaged_bytes_are_refused_with_a_way_out(damage):
    with pytest.raises(InvalidLearnedError, match="cannot be read") as refused:
        Learned.from_bytes(damage(learned(HEAD).to_bytes()))
    assert "--take-back" in refused.value.hint


def test_the_reason_says_what_was_learned_and_that_the_phrases_alone_would_have_lost():
    vectors = PhraseVectors.of(PHRASES, unit(6, 4))
    policy = replace(POLICY, labels=POLICY.labels[:1])
    embedding = vectors.matrix[:1]
    boosted = LearnedLabel(contest(policy), unit(0, 0), 1.0, 80.0)
    (alone,) = Scorer(policy, vectors)(embedding, 100.0)
    (found,) = Scorer(policy, vectors, Adjustment(policy, learned(boosted)))(embedding, 100.0)
    assert alone.score < 0.5 < found.score
    assert found.learned == pytest.approx(80)
    assert found.contest == f"{alone.contest}; what it learned adds +80.0"
