"""A text may only add, never clear: the laws of what captions do to scores and decisions."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from worker.domain.moderation.additions import WORD_LOGIT, Additions, TextPart
from worker.domain.moderation.caption import MEANING_SHARE, Caption, CaptionRule
from worker.domain.moderation.decision import decide
from worker.domain.moderation.scoring import PhraseVectors, Scorer
from worker.domain.moderation.seen import WHOLE, Seen
from worker.domain.policies.policy import Action, Captions, Label, Policy

DIMENSION = 6
PHRASES = [f"phrase {n}" for n in range(8)]
NEUTRAL = 3
SOME_PHRASES = st.lists(st.sampled_from(PHRASES), min_size=1, max_size=4).map(tuple)
WORDS = st.lists(st.sampled_from(["ak47", "gun", "枪"]), max_size=2).map(tuple)
LABELS = st.lists(
    st.builds(
        lambda name, prompts, lookalikes, words, thresholds, excludes: Label(
            name,
            prompts,
            lookalikes=lookalikes,
            words=words,
            review=min(thresholds),
            block=None if excludes else max(thresholds),
            exclude_from_automatic_block=excludes,
        ),
        st.sampled_from("abcd"),
        SOME_PHRASES,
        st.lists(st.sampled_from(PHRASES), max_size=2).map(tuple),
        WORDS,
        st.tuples(st.floats(0.001, 1), st.floats(0.001, 1)),
        st.booleans(),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda label: label.name,
)
POLICIES = st.builds(
    Policy,
    name=st.just("p"),
    background=SOME_PHRASES,
    labels=LABELS.map(tuple),
    captions=st.just(Captions()),
    on_partly_seen=st.sampled_from(Action),
)
TEXTS = st.sampled_from(["", "...", "nice day", "cheap ak47 for sale", "卖枪", "a gun"]) | st.text(
    max_size=30
)
SEEDS = st.integers(0, 2**32 - 1)
SCALES = st.floats(1, 150)
MILDEST_FIRST = tuple(Action)


def unit_vectors(seed, rows):
    """Return unit vectors, shape (rows, DIMENSION); for odd seeds coarse ones, so that ties occur."""
    random = np.random.default_rng(seed)
    matrix = random.integers(-1, 2, (rows, DIMENSION)) if seed % 2 else random.normal(size=(rows, DIMENSION))
    matrix = np.where(matrix.any(axis=1, keepdims=True), matrix, 1.0)
    return (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32)


def scored(policy, text, seed, scale):
    """Return the scores of a random picture alone, and with a text of a random meaning."""
    vectors = replace(
        PhraseVectors.of(PHRASES, unit_vectors(seed, len(PHRASES))), captions=unit_vectors(seed + 1, NEUTRAL)
    )
    picture, meaning = unit_vectors(seed + 2, 2), unit_vectors(seed + 3, 1)[0]
    score = Scorer(policy, vectors)
    additions = CaptionRule(policy, vectors)(Caption(text, meaning), scale)
    return score(picture, scale), score(picture, scale, additions=additions)


@given(POLICIES, TEXTS, SEEDS, SCALES)
def test_no_caption_ever_lowers_a_score(policy, text, seed, scale):
    for alone, together in zip(*scored(policy, text, seed, scale), strict=True):
        assert together.score >= alone.score
        assert together.alone == pytest.approx(alone.score, abs=1e-12)
        if together.text is None:
            assert together.score == alone.score


@given(POLICIES, TEXTS, SEEDS, SCALES)
def test_no_caption_ever_reaches_a_block_that_the_picture_does_not(policy, text, seed, scale):
    for alone, together in zip(*scored(policy, text, seed, scale), strict=True):
        block = policy.label(alone.label).block
        assert block is None or (together.score >= block) == (alone.score >= block)


@given(POLICIES, TEXTS, SEEDS, SCALES, st.sampled_from([WHOLE, Seen(time_share=0.3)]))
def test_no_caption_ever_makes_a_decision_milder_or_blocks(policy, text, seed, scale, seen):
    alone, together = (decide(policy, scores, seen) for scores in scored(policy, text, seed, scale))
    assert MILDEST_FIRST.index(together.action) >= MILDEST_FIRST.index(alone.action)
    assert set(together.flagged) >= set(alone.flagged)
    if seen is WHOLE:
        assert (together.action is Action.BLOCK) == (alone.action is Action.BLOCK)
    assert together.is_flagged_by_text or together.flagged == alone.flagged


def test_a_caption_that_names_an_excluding_label_unblocks_nothing():
    weapons = Label("weapons", ("a gun",), review=0.5, block=0.9)
    news = Label("news", ("a newspaper",), review=0.6, exclude_from_automatic_block=True, words=("news",))
    policy = Policy("p", ("a person",), (weapons, news), captions=Captions())
    axes = np.eye(4, dtype=np.float32)
    vectors = replace(PhraseVectors.of(["a person", "a gun", "a newspaper"], axes[:3]), captions=axes[3:])
    additions = CaptionRule(policy, vectors)(Caption("breaking news", axes[2]), 10)
    scores = Scorer(policy, vectors)(axes[1:2], 10, additions=additions)
    decision = decide(policy, scores)
    assert decision.flagged == ("weapons", "news")
    assert decision.action is Action.BLOCK


GUN = Label(
    "weapons", ("a gun",), lookalikes=("a toy",), words=("ak47", "kalashnikov"), review=0.5, block=0.95
)
POLICY = Policy("p", ("a person",), (GUN, Label("birds", ("a bird",))), captions=Captions())
AXES = np.eye(6, dtype=np.float32)
VECTORS = replace(PhraseVectors.of(["a person", "a gun", "a toy", "a bird"], AXES[:4]), captions=AXES[4:5])
RULE = CaptionRule(POLICY, VECTORS)


def meaning(*weights):
    """Return a unit vector; the weights are those of person, gun, toy, bird, neutral caption, nothing."""
    vector = np.array(weights, np.float32)
    return vector / np.linalg.norm(vector)


def test_a_meaning_adds_a_share_of_the_margin_over_all_that_is_harmless():
    added = RULE(Caption("for sale", meaning(0, 0.8, 0, 0, 0.6, 0)), 100)
    assert added.logits == pytest.approx([MEANING_SHARE * 100 * 0.2, 0])
    assert added.words == ("", "")


@pytest.mark.parametrize("nearest", [0, 2, 4], ids=["background", "lookalike", "neutral caption"])
def test_a_text_that_is_nearer_to_anything_harmless_adds_nothing(nearest):
    weights = [0, 0.5, 0, 0, 0, 0]
    weights[nearest] = 0.6
    assert not RULE(Caption("a text", meaning(*weights)), 100).logits.any()


def test_a_word_adds_a_fixed_amount_to_its_label_alone():
    added = RULE(Caption("my AK47 and a Kalashnikov", meaning(0, 0, 0, 0, 1, 0)), 100)
    assert (list(added.logits), added.words) == ([WORD_LOGIT, 0], ("ak47", ""))


def test_a_text_without_words_has_no_meaning_either():
    assert not RULE(Caption("...", meaning(0, 1, 0, 0, 0, 0)), 100).logits.any()


def test_a_text_that_the_model_cannot_encode_adds_its_words_alone():
    added = RULE(Caption("ak47", np.zeros(6, np.float32)), 100)
    assert list(added.logits) == [WORD_LOGIT, 0]


def test_many_captions_add_what_each_adds():
    captions = [Caption("ak47", meaning(0, 1, 0, 0, 0, 0)), Caption("...", meaning(0, 0, 0, 1, 0, 0))]
    for one, many in zip((RULE(c, 30) for c in captions), RULE.of_many(captions, 30), strict=True):
        np.testing.assert_array_equal(one.logits, many.logits)


def test_vectors_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="not finite"):
        RULE(Caption("a text", np.full(6, np.nan, np.float32)), 100)
    with pytest.raises(ValueError, match="neutral captions are missing"):
        CaptionRule(POLICY, PhraseVectors.of(["a person"], AXES[:1]))


@pytest.mark.parametrize(
    ("text", "vector", "expected"),
    [
        ("my ak47", (0, 0, 0, 0, 1, 0), '; its text adds 2.0 (the word "ak47")'),
        ("my rifle", (0, 1, 0, 0, 0, 0), "; its text adds 0.5 (its meaning)"),
        ("my ak47", (0, 1, 0, 0, 0, 0), '; its text adds 2.5 (the word "ak47" and its meaning)'),
        ("hello", (0, 0, 0, 0, 1, 0), ""),
    ],
)
def test_the_reason_names_what_the_text_added_and_never_quotes_it(text, vector, expected):
    additions = RULE(Caption(text, meaning(*vector)), 2.0)
    scores = Scorer(POLICY, VECTORS)(meaning(0.7, 0.7, 0, 0, 0, 0)[None], 2.0, additions=additions)
    reason = decide(replace(POLICY, labels=(replace(GUN, review=0.1), POLICY.labels[1])), scores).reason
    assert f'"a gun" beat "a person" by 0.000, but all harmless phrases together won{expected}' in reason
    assert text not in reason.replace('the word "ak47"', "")


def test_a_score_that_only_the_text_would_bring_to_a_block_stays_below_it():
    additions = Additions(np.array([5.0, 0.0]), ("ak47", ""))
    (weapons, _) = Scorer(POLICY, VECTORS)(meaning(0, 1, 0.8, 0, 0, 0)[None], 4.0, additions=additions)
    assert weapons.score == np.nextafter(0.95, 0)
    assert weapons.text.added == pytest.approx(
        np.log(0.95 / 0.05) - np.log(weapons.alone / (1 - weapons.alone))
    )
    reason = decide(POLICY, [weapons]).reason
    assert reason.endswith('(the word "ak47" and its meaning), and no text alone reaches block')


@given(st.floats(0.001, 0.999), st.floats(0.001, 5))
@example(0.5, 2.0)
def test_what_is_recorded_of_a_text_gives_the_score_of_the_picture_again(alone, added):
    score = 1 / (1 + np.exp(-(np.log(alone / (1 - alone)) + added)))
    assume(score < 1)
    assert TextPart.recorded(float(score), added).alone == pytest.approx(alone, abs=1e-6)
    assert TextPart.recorded(float(score), 0.0) is None
