"""The backtest decides as the ordinary rule does, for every picture at once, and counts what it says."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from worker.domain.evaluation.backtest import ACTIONS, Backtest, PolicyOutcome, widened
from worker.domain.evaluation.comparison import BINS, Change, Tally, days_of
from worker.domain.moderation.additions import Additions
from worker.domain.moderation.decision import decide
from worker.domain.moderation.scoring import PhraseVectors, Scorer, score
from worker.domain.moderation.seen import WHOLE, Seen
from worker.domain.policies.policy import Action, Label, Policy

DIMENSION = 6
PHRASES = [f"phrase {n}" for n in range(10)]
#: Scores this near to a threshold may fall to either side of it.
ROUNDING = 1e-5
TEMPLATES = (("{}",), ("a photo of {}",))
THRESHOLDS = st.floats(0, 1)
SOME_PHRASES = st.lists(st.sampled_from(PHRASES), min_size=1, max_size=4).map(tuple)
LABELS = st.lists(
    st.builds(
        Label,
        name=st.sampled_from("abcde"),
        prompts=SOME_PHRASES,
        lookalikes=st.lists(st.sampled_from(PHRASES), max_size=3).map(tuple),
        review=THRESHOLDS,
        block=st.none() | THRESHOLDS,
        exclude_from_automatic_block=st.booleans(),
    ),
    max_size=4,
    unique_by=lambda label: label.name,
)
POLICIES = st.builds(
    Policy,
    name=st.just("p"),
    background=SOME_PHRASES,
    labels=LABELS.map(tuple),
    templates=st.sampled_from(TEMPLATES),
    on_partly_seen=st.sampled_from(Action),
)
SEEDS = st.integers(0, 2**32 - 1)
FRAMES = st.lists(st.integers(1, 3), min_size=1, max_size=12)
PARTLY = Seen(time_share=0.3)
SCALES = st.floats(1, 150)


def unit_vectors(seed, rows):
    """Return unit vectors, shape (rows, DIMENSION); for odd seeds coarse ones, so that ties occur."""
    random = np.random.default_rng(seed)
    matrix = random.integers(-1, 2, (rows, DIMENSION)) if seed % 2 else random.normal(size=(rows, DIMENSION))
    matrix = np.where(matrix.any(axis=1, keepdims=True), matrix, 1.0)
    return (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32)


def vectors_of(policy, seed):
    """Return vectors that depend on the phrases and on the templates, as an encoder's do."""
    return PhraseVectors.of(PHRASES, unit_vectors(seed + 2 * TEMPLATES.index(policy.templates), len(PHRASES)))


def pictures(seed, frames):
    return unit_vectors(seed, sum(frames)).astype(np.float16)


def judged(policy, vectors, embeddings, frames, scale):
    """Return the ordinary decision about each picture; of every third one, not enough was looked at."""
    ends = np.cumsum(frames)
    frames_of = [embeddings[end - n : end].astype(np.float32) for n, end in zip(frames, ends, strict=True)]
    return [
        decide(policy, score(policy, embedding, vectors, scale), PARTLY if n % 3 == 0 else WHOLE)
        for n, embedding in enumerate(frames_of)
    ]


def on_a_threshold(policy, decision):
    thresholds = [(policy.label(s.label), s.score) for s in decision.scores]
    return any(
        abs(found - threshold) <= ROUNDING
        for label, found in thresholds
        for threshold in (label.review, label.block)
        if threshold is not None
    )


@given(POLICIES, POLICIES, SEEDS, FRAMES, SCALES)
def test_every_picture_is_decided_as_by_the_ordinary_rule(old, new, seed, frames, scale):
    embeddings, policies = pictures(seed, frames), [(p, vectors_of(p, seed + 1)) for p in (old, new)]
    partly_seen = np.arange(len(frames)) % 3 == 0
    found = Backtest(policies, scale).judge(embeddings, np.array(frames), partly_seen)
    for (policy, vectors), many in zip(policies, found, strict=True):
        for n, one in enumerate(judged(policy, vectors, embeddings, frames, scale)):
            np.testing.assert_allclose(many.scores[:, n], [s.score for s in one.scores], atol=ROUNDING)
            if on_a_threshold(policy, one):
                continue
            assert ACTIONS[many.actions[n]] is one.action
            flagged = {
                label.name for label, is_it in zip(policy.labels, many.flagged[:, n], strict=True) if is_it
            }
            assert flagged == set(one.flagged)


@given(POLICIES.filter(lambda policy: policy.labels), SEEDS, FRAMES, SCALES)
def test_texts_add_as_by_the_ordinary_rule(policy, seed, frames, scale):
    embeddings, vectors = pictures(seed, frames), vectors_of(policy, seed + 1)
    shape = (len(policy.labels), len(frames))
    added = np.maximum(np.random.default_rng(seed).normal(0, 3, shape), 0)
    (many,) = Backtest([(policy, vectors)], scale).judge(embeddings, np.array(frames), None, [added])
    ends, words = np.cumsum(frames), ("",) * len(policy.labels)
    for n, (count, end) in enumerate(zip(frames, ends, strict=True)):
        embedding = embeddings[end - count : end].astype(np.float32)
        one = decide(
            policy, Scorer(policy, vectors)(embedding, scale, additions=Additions(added[:, n], words))
        )
        np.testing.assert_allclose(many.scores[:, n], [s.score for s in one.scores], atol=ROUNDING)
        if not (on_a_threshold(policy, one) or on_a_threshold(policy, decide(policy, alone(one.scores)))):
            assert ACTIONS[many.actions[n]] is one.action


def alone(scores):
    return [replace(score, score=score.alone, text=None) for score in scores]


@given(POLICIES, POLICIES, SEEDS, FRAMES, st.integers(1, 5))
def test_what_is_counted_in_parts_is_what_there_is(old, new, seed, frames, size):
    embeddings, policies = pictures(seed, frames), [(p, vectors_of(p, seed + 1)) for p in (old, new)]
    backtest, tally, parts = Backtest(policies, 100.0), Tally.of(old, new), []
    ends = np.cumsum(frames)
    for start in range(0, len(frames), size):
        part = frames[start : start + size]
        rows = embeddings[ends[start] - frames[start] :][: sum(part)]
        parts.append(backtest.judge(rows, np.array(part)))
        halves = zip((old, new), parts[-1], strict=True)
        tally.add(Change.between(*halves), np.arange(start, start + len(part)) * 40_000.0)
    before, after = (
        PolicyOutcome(
            np.concatenate([part[side].scores for part in parts], axis=1),
            np.concatenate([part[side].flagged for part in parts], axis=1),
            np.concatenate([part[side].actions for part in parts]),
        )
        for side in (0, 1)
    )
    moves = Counter(zip(before.actions.tolist(), after.actions.tolist(), strict=True))
    assert {place: int(n) for place, n in np.ndenumerate(tally.moves) if n} == moves
    assert tally.pictures == len(frames) == sum(counts[:3].sum() for _, counts in days_of(tally))
    for label in tally.labels:
        flagged = [
            many.flagged[names.index(label.name)] if label.name in names else np.zeros(len(frames), bool)
            for many, names in (
                (before, [each.name for each in old.labels]),
                (after, [each.name for each in new.labels]),
            )
        ]
        assert (label.before, label.after) == (flagged[0].sum(), flagged[1].sum())
        assert label.gained - label.lost == label.after - label.before
        assert label.gained == (flagged[1] & ~flagged[0]).sum()
        for histogram in (label.old_scores, label.new_scores):
            assert histogram is None or (histogram.sum() == len(frames) and len(histogram) == BINS)


@given(POLICIES, SEEDS, SEEDS, FRAMES)
def test_a_policy_beside_itself_changes_nothing(policy, phrases, seed, frames):
    vectors = vectors_of(policy, phrases)
    both = Backtest([(policy, vectors), (policy, vectors)], 100.0).judge(
        pictures(seed, frames), np.array(frames)
    )
    assert not Change.between(*((policy, many) for many in both)).changed.any()


@given(POLICIES, SEEDS, SEEDS, FRAMES)
def test_a_new_label_moves_no_other(policy, phrases, seed, frames):
    more = replace(policy, labels=(*policy.labels, Label("new", ("phrase 0",))))
    vectors = vectors_of(policy, phrases)
    old, new = Backtest([(policy, vectors), (more, vectors)], 100.0).judge(
        pictures(seed, frames), np.array(frames)
    )
    np.testing.assert_array_equal(new.scores[:-1], old.scores)


def test_phrases_that_policies_share_are_compared_once():
    old = Policy("p", ("phrase 0", "phrase 1"), (Label("a", ("phrase 2",)),))
    vectors = PhraseVectors.of(PHRASES, unit_vectors(0, len(PHRASES)))
    more = replace(old, labels=(*old.labels, Label("b", ("phrase 3",))))
    assert Backtest([(old, vectors), (more, vectors)], 1.0).phrase_count == 4
    elsewhere = replace(more, templates=("{}, drawn",))
    assert Backtest([(old, vectors), (elsewhere, vectors)], 1.0).phrase_count == 7


@given(arrays.arrays(np.float16, 40, elements=st.floats(allow_nan=False, allow_infinity=False, width=16)))
def test_widening_is_exact(halves):
    np.testing.assert_array_equal(widened(halves.reshape(5, 8)), halves.reshape(5, 8).astype(np.float32))


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, 60_000.0])
def test_a_vector_that_is_none_is_refused(wrong):
    policy = Policy("p", ("phrase 0",), (Label("a", ("phrase 1",)),))
    vectors = PhraseVectors.of(PHRASES, unit_vectors(0, len(PHRASES)))
    embeddings = pictures(0, [1, 1])
    embeddings[1, 2] = wrong
    with pytest.raises(ValueError, match="not finite"):
        Backtest([(policy, vectors)], 100.0).judge(embeddings, np.array([1, 1]))


def test_actions_are_numbered_mildest_first():
    assert list(Action) == list(ACTIONS)
