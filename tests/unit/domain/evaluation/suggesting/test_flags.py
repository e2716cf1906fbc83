"""Flags, and what is left of them after an edit, are those of the ordinary rule."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.domain.evaluation.backtest import Backtest
from worker.domain.evaluation.policy_lint import MIN_PICTURES
from worker.domain.evaluation.suggesting.flags import Flags
from worker.domain.evaluation.suggesting.idle import idle_phrases
from worker.domain.evaluation.suggesting.sample import Sample
from worker.domain.evaluation.suggesting.search import gone_without
from worker.domain.evaluation.suggesting.standing import Standing, similarities
from worker.domain.moderation.scoring import PhraseVectors
from worker.domain.policies.policy import Label, Policy

DIMENSION = 6
PHRASES = [f"phrase {n}" for n in range(12)]
ADDED = "phrase 0"
SOME = st.lists(st.sampled_from(PHRASES[1:]), min_size=1, max_size=4).map(tuple)
POLICIES = st.builds(
    Policy,
    name=st.just("p"),
    background=SOME,
    labels=st.lists(
        st.builds(
            Label,
            name=st.sampled_from("abc"),
            prompts=SOME,
            lookalikes=st.lists(st.sampled_from(PHRASES[1:]), max_size=3).map(tuple),
            review=st.floats(0.05, 0.95) | st.sampled_from([0.0, 1.0]),
            block=st.none() | st.floats(0.05, 0.95),
        ),
        min_size=1,
        max_size=3,
        unique_by=lambda label: label.name,
    ).map(tuple),
)
SEEDS = st.integers(0, 2**32 - 1)
SCALES = st.floats(1, 100)


def unit_vectors(random, rows):
    matrix = random.normal(size=(rows, DIMENSION))
    return (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32)


def made(policy, seed, pictures=30):
    """Return a sample of pictures of one to three views, and the vectors of the phrases."""
    random = np.random.default_rng(seed)
    views = random.integers(1, 4, pictures)
    sample = Sample(
        submission_ids=[str(n) for n in range(pictures)],
        sha256s=[f"{n:064x}" for n in range(pictures)],
        views=views.astype(np.intp),
        vectors=unit_vectors(random, views.sum()).astype(np.float16),
        truth=random.integers(-1, 2, (pictures, len(policy.labels))).astype(np.int8),
        weights=np.ones(pictures),
        drawn=np.ones(pictures, np.bool_),
    )
    return sample, PhraseVectors.of(PHRASES, unit_vectors(random, len(PHRASES)))


def judged(policy, vectors, sample, scale):
    (outcome,) = Backtest([(policy, vectors)], scale).judge(sample.vectors, sample.views)
    return outcome


def as_table(flags, sample, labels, which=None):
    """Return flags as a table of pictures and labels."""
    table, starts = np.zeros((len(sample.views), labels), bool), flags.starts
    which = np.ones(len(starts), bool) if which is None else which
    table[flags.pictures[starts][which], flags.labels[starts][which]] = True
    return table


def near_a_threshold(policy, outcome):
    """Return which scores are so near to a threshold that rounding decides, shape (pictures, labels)."""
    thresholds = [
        (label.review, label.review if label.block is None else label.block) for label in policy.labels
    ]
    distances = np.abs(outcome.scores[:, None] - np.array(thresholds)[:, :, None])
    return (distances.min(axis=1) < 1e-5).T


@settings(max_examples=40)
@given(POLICIES, SEEDS, SCALES)
def test_flags_are_those_of_the_ordinary_rule(policy, seed, scale):
    sample, vectors = made(policy, seed)
    outcome = judged(policy, vectors, sample, scale)
    found = as_table(Flags.of(Standing.of(policy, vectors, sample, scale)), sample, len(policy.labels))
    assert not ((found != outcome.flagged.T) & ~near_a_threshold(policy, outcome)).any()


@settings(max_examples=40)
@given(POLICIES, SEEDS, SCALES)
def test_a_phrase_more_takes_away_what_the_policy_with_it_does_not_flag(policy, seed, scale):
    sample, vectors = made(policy, seed)
    flags = Flags.of(Standing.of(policy, vectors, sample, scale))
    row = vectors.matrix[[vectors.index[ADDED]]]
    more = similarities(sample.vectors[flags.rows], row, scale)[:, 0]
    after = replace(policy, background=(*policy.background, ADDED))
    before, outcome = (judged(one, vectors, sample, scale) for one in (policy, after))
    unsure = near_a_threshold(policy, before) | near_a_threshold(policy, outcome)
    gone = as_table(flags, sample, len(policy.labels), flags.all_of(more > flags.room))
    left = as_table(flags.with_others(more), sample, len(policy.labels))
    assert not ((gone != (before.flagged & ~outcome.flagged).T) & ~unsure).any()
    assert not ((left != outcome.flagged.T) & ~unsure).any()


@settings(max_examples=40)
@given(POLICIES, SEEDS, SCALES)
def test_a_prompt_less_takes_away_what_the_policy_without_it_does_not_flag(policy, seed, scale):
    sample, vectors = made(policy, seed)
    label, prompt = policy.labels[-1], policy.labels[-1].prompts[0]
    kept = tuple(one for one in label.prompts if one != prompt)
    if not kept:
        return
    standing = Standing.of(policy, vectors, sample, scale)
    flags = Flags.of(standing)
    after = replace(policy, labels=(*policy.labels[:-1], replace(label, prompts=kept)))
    before, outcome = (judged(one, vectors, sample, scale) for one in (policy, after))
    unsure = near_a_threshold(policy, before) | near_a_threshold(policy, outcome)
    which = gone_without(standing, flags, len(policy.labels) - 1, kept)
    gone = as_table(flags, sample, len(policy.labels), which)
    assert not ((gone != (before.flagged & ~outcome.flagged).T) & ~unsure).any()


@settings(max_examples=40)
@given(POLICIES, SEEDS)
def test_the_strongest_view_of_a_flag_has_its_highest_logit(policy, seed):
    sample, vectors = made(policy, seed)
    flags = Flags.of(Standing.of(policy, vectors, sample, 10.0))
    logits, starts = flags.prompts - flags.others, flags.starts
    for flag, view in enumerate(flags.strongest().tolist()):
        end = starts[flag + 1] if flag + 1 < len(starts) else len(logits)
        assert starts[flag] <= view < end
        assert logits[view] == logits[starts[flag] : end].max()


@settings(max_examples=40)
@given(POLICIES, SEEDS)
def test_idle_phrases_can_all_go_without_another_decision(policy, seed):
    sample, vectors = made(policy, seed, MIN_PICTURES)
    found = idle_phrases(Standing.of(policy, vectors, sample, 10.0))
    assert found is not None
    gone = {(one.path, one.phrase) for one in found}

    def kept(path, phrases):
        return tuple(phrase for phrase in phrases if (path, phrase) not in gone)

    labels = tuple(
        replace(
            label,
            prompts=kept(("labels", label.name, "prompts"), label.prompts),
            lookalikes=kept(("labels", label.name, "lookalikes"), label.lookalikes),
        )
        for label in policy.labels
    )
    less = replace(policy, background=kept(("background",), policy.background), labels=labels)
    before, after = (judged(one, vectors, sample, 10.0) for one in (policy, less))
    sure = ~(near_a_threshold(policy, before) | near_a_threshold(policy, after)).any(axis=1)
    assert (before.flagged == after.flagged)[:, sure].all()
    assert (before.actions == after.actions)[sure].all()


def test_a_phrase_unlike_everything_is_idle_and_a_near_one_is_not():
    random = np.random.default_rng(1)
    policy = Policy("p", ("phrase 1", "phrase 2"), (Label("a", ("phrase 3",)),))
    sample, _ = made(policy, 1, MIN_PICTURES)
    near = unit_vectors(random, 12)
    pictures = np.repeat(near[[1, 3]], [sample.views.sum() - 20, 20], axis=0)
    sample = replace(sample, vectors=pictures.astype(np.float16))
    near[2] = -near[1]
    (found,) = idle_phrases(Standing.of(policy, PhraseVectors.of(PHRASES, near), sample, 20.0))
    assert (found.path, found.phrase) == (("background",), "phrase 2")


def test_of_few_pictures_nothing_is_said_to_be_idle():
    policy = Policy("p", ("phrase 1",), (Label("a", ("phrase 3",)),))
    sample, vectors = made(policy, 1, MIN_PICTURES - 1)
    assert idle_phrases(Standing.of(policy, vectors, sample, 20.0)) is None
