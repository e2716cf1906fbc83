"""The laws of the score, over policies, phrases and pictures of every kind."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.moderation.decision import decide
from worker.domain.moderation.scoring import PhraseVectors, Scorer, rank_labels, score, score_pairs, sigmoid
from worker.domain.moderation.view import Views
from worker.domain.policies.policy import Label, Policy, Scoring

DIMENSION = 6
PHRASES = [f"phrase {n}" for n in range(12)]
#: CLIP's scale is 100; SigLIP's about 117.
SCALES = st.floats(1, 150)


def unit_vectors(rows):
    """Return a strategy of unit vectors, shape (rows, DIMENSION); every other one is coarse, so that ties occur."""
    return st.integers(0, 2**32 - 1).map(lambda seed: _unit_vectors(seed, rows))


def _unit_vectors(seed, rows):
    random = np.random.default_rng(seed)
    matrix = random.integers(-1, 2, (rows, DIMENSION)) if seed % 2 else random.normal(size=(rows, DIMENSION))
    matrix = np.where(matrix.any(axis=1, keepdims=True), matrix, 1.0)
    return (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32)


def logit(score):
    """Return the log-odds of a score, far from infinite ones."""
    share = min(max(score, 1e-9), 1 - 1e-9)
    return math.log(share) - math.log1p(-share)


VECTORS = unit_vectors(len(PHRASES)).map(lambda matrix: PhraseVectors.of(PHRASES, matrix))
EMBEDDINGS = st.integers(1, 4).flatmap(unit_vectors)
SOME_PHRASES = st.lists(st.sampled_from(PHRASES), min_size=1, max_size=5).map(tuple)
LABELS = st.lists(
    st.builds(
        Label,
        name=st.text("abc", min_size=1),
        prompts=SOME_PHRASES,
        lookalikes=st.lists(st.sampled_from(PHRASES), max_size=3).map(tuple),
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
    scoring=st.sampled_from(Scoring),
)


@given(POLICIES, EMBEDDINGS, VECTORS, SCALES)
def test_a_score_lies_between_0_and_1(policy, embedding, vectors, scale):
    assert all(0 <= found.score <= 1 for found in score(policy, embedding, vectors, scale))


@given(POLICIES, EMBEDDINGS, VECTORS, SCALES)
def test_by_the_best_phrases_a_score_has_the_side_of_its_margin(policy, embedding, vectors, scale):
    by_best = replace(policy, scoring=Scoring.BEST)
    for found in score(by_best, embedding, vectors, scale):
        assert (found.score > 0.5) <= (found.margin > 0)
        assert (found.score < 0.5) <= (found.margin < 0)


@given(POLICIES, EMBEDDINGS, VECTORS, SCALES)
def test_phrases_together_are_as_near_as_the_best_one_and_at_most_log_n_nearer(
    policy, embedding, vectors, scale
):
    together = score(replace(policy, scoring=Scoring.TOGETHER), embedding, vectors, scale)
    by_best = score(replace(policy, scoring=Scoring.BEST), embedding, vectors, scale)
    for label, one, other in zip(policy.labels, together, by_best, strict=True):
        low, high = (
            sigmoid(logit(other.score) + math.log(bound))
            for bound in (1 / len(policy.background + label.lookalikes), len(label.prompts))
        )
        assert low - 1e-6 <= one.score <= high + 1e-6


@given(POLICIES, EMBEDDINGS, VECTORS, SCALES, st.data())
def test_a_near_duplicate_of_a_prompt_adds_at_most_log_2(policy, embedding, vectors, scale, data):
    prompt = data.draw(st.sampled_from(policy.labels[0].prompts))
    twice = PhraseVectors.of(
        [*PHRASES, "twin"], np.vstack([vectors.matrix, vectors.matrix[vectors.index[prompt]]])
    )
    first, *others = policy.labels
    richer = replace(policy, labels=(replace(first, prompts=(*first.prompts, "twin")), *others))
    before, after = (logit(score(one, embedding, twice, scale)[0].score) for one in (policy, richer))
    assert before - 1e-6 <= after <= before + math.log(2) + 1e-6


@given(POLICIES, EMBEDDINGS, VECTORS, SCALES)
def test_a_lookalike_that_is_background_too_counts_once(policy, embedding, vectors, scale):
    first, *others = policy.labels
    again = replace(first, lookalikes=(*first.lookalikes, *policy.background))
    repeated = replace(policy, labels=(again, *others))
    assert score(repeated, embedding, vectors, scale) == score(policy, embedding, vectors, scale)


@given(POLICIES, EMBEDDINGS, VECTORS, SCALES)
def test_a_reason_never_says_that_a_phrase_beat_another_by_less_than_nothing(
    policy, embedding, vectors, scale
):
    for found in score(policy, embedding, vectors, scale):
        assert "by -" not in found.contest
        assert (" beat " in found.contest) == (found.margin >= 0)
        assert ("together won" in found.contest) == ((found.score >= 0.5) != (found.margin >= 0))


@given(POLICIES, EMBEDDINGS, VECTORS, SCALES, st.integers(1, 4))
def test_of_many_labels_those_that_count_and_the_highest_are_told_as_they_are(
    policy, embedding, vectors, scale, most
):
    every = score(policy, embedding, vectors, scale)
    told = Scorer(policy, vectors)(embedding, scale, most=most)
    assert [found for found in every if found in told] == list(told), "in order, and unchanged"
    left_out = [found for found in every if found not in told]
    assert all(found.score < policy.label(found.label).review for found in left_out)
    assert len(told) >= min(most, len(every))
    assert decide(policy, told) == replace(decide(policy, every), scores=told)


def test_a_policy_without_labels_scores_nothing():
    vectors = PhraseVectors.of(["a street"], np.ones((1, 1), np.float32))
    assert (
        score(Policy("p", background=("a street",), labels=()), np.ones((1, 1), np.float32), vectors, 100)
        == ()
    )


@given(POLICIES, EMBEDDINGS, VECTORS, SCALES)
def test_scores_come_in_the_order_of_the_labels(policy, embedding, vectors, scale):
    names = [found.label for found in score(policy, embedding, vectors, scale)]
    assert names == [label.name for label in policy.labels]


@given(POLICIES, EMBEDDINGS, VECTORS, SCALES, SOME_PHRASES)
def test_adding_or_removing_a_label_changes_no_other_score(policy, embedding, vectors, scale, prompts):
    before = score(policy, embedding, vectors, scale)
    added = replace(policy, labels=(Label("new", prompts), *policy.labels))
    assert score(added, embedding, vectors, scale)[1:] == before
    removed = replace(policy, labels=policy.labels[1:])
    assert score(removed, embedding, vectors, scale) == before[1:]


@given(POLICIES, EMBEDDINGS, VECTORS, SCALES)
def test_renaming_a_label_changes_its_name_alone(policy, embedding, vectors, scale):
    renamed = replace(policy, labels=(replace(policy.labels[0], name="new"), *policy.labels[1:]))
    first, *others = score(policy, embedding, vectors, scale)
    assert score(renamed, embedding, vectors, scale) == (replace(first, label="new"), *others)


@given(POLICIES, EMBEDDINGS, VECTORS, SCALES, st.data())
def test_a_duplicate_prompt_changes_nothing(policy, embedding, vectors, scale, data):
    label = policy.labels[0]
    again = (*label.prompts, data.draw(st.sampled_from(label.prompts)))
    duplicated = replace(policy, labels=(replace(label, prompts=again), *policy.labels[1:]))
    assert score(duplicated, embedding, vectors, scale) == score(policy, embedding, vectors, scale)


@given(POLICIES, EMBEDDINGS, VECTORS, SCALES, st.data())
def test_a_duplicate_background_phrase_changes_nothing(policy, embedding, vectors, scale, data):
    again = (*policy.background, data.draw(st.sampled_from(policy.background)))
    duplicated = replace(policy, background=again)
    assert score(duplicated, embedding, vectors, scale) == score(policy, embedding, vectors, scale)


@given(POLICIES, EMBEDDINGS, VECTORS, SCALES, st.sampled_from(PHRASES))
def test_another_prompt_never_lowers_and_another_lookalike_never_raises_a_score(
    policy, embedding, vectors, scale, phrase
):
    label = policy.labels[0]
    before = score(policy, embedding, vectors, scale)[0].score
    richer = replace(policy, labels=(replace(label, prompts=(*label.prompts, phrase)),))
    guarded = replace(policy, labels=(replace(label, lookalikes=(*label.lookalikes, phrase)),))
    assert score(richer, embedding, vectors, scale)[0].score >= before
    assert score(guarded, embedding, vectors, scale)[0].score <= before


@given(POLICIES, EMBEDDINGS, VECTORS, SCALES)
def test_a_lookalike_guards_its_own_label_alone(policy, embedding, vectors, scale):
    bare = replace(policy, labels=(replace(policy.labels[0], lookalikes=()), *policy.labels[1:]))
    assert score(bare, embedding, vectors, scale)[1:] == score(policy, embedding, vectors, scale)[1:]


@given(LABELS, EMBEDDINGS, VECTORS, SCALES)
def test_where_the_background_wins_everywhere_no_label_is_forced_to(labels, embedding, vectors, scale):
    everything = Policy(name="p", background=tuple(PHRASES), labels=tuple(labels))
    assert all(found.score <= 0.5 for found in score(everything, embedding, vectors, scale))


@given(POLICIES, EMBEDDINGS, VECTORS, SCALES)
def test_frames_on_a_black_page_count_like_the_others_and_are_told_apart(policy, embedding, vectors, scale):
    frames = len(embedding)
    on_two_pages = np.concatenate([embedding, -embedding])
    told = score(policy, on_two_pages, vectors, scale, Views(frames, pages=2))
    for found, plain in zip(told, score(policy, on_two_pages, vectors, scale), strict=True):
        assert found.view == Views(frames, pages=2)[plain.view.frame]
        assert found.score == plain.score


@given(POLICIES, EMBEDDINGS, VECTORS, SCALES)
def test_a_picture_scores_as_its_strongest_frame(policy, embedding, vectors, scale):
    frames = [score(policy, frame[None], vectors, scale) for frame in embedding]
    for number, found in enumerate(score(policy, embedding, vectors, scale)):
        assert found.score == pytest.approx(max(frame[number].score for frame in frames), abs=1e-4)
        assert found.margin == pytest.approx(frames[found.view.frame][number].margin, abs=1e-5)


@given(POLICIES, EMBEDDINGS, VECTORS, SCALES)
def test_the_phrases_named_are_those_that_decided(policy, embedding, vectors, scale):
    for label, found in zip(policy.labels, score(policy, embedding, vectors, scale), strict=True):
        frame = embedding[found.view.frame]

        def cosine(phrase, frame=frame):
            return float(frame @ vectors.matrix[vectors.index[phrase]])

        others = policy.background + label.lookalikes
        assert found.prompt in label.prompts
        assert found.background in others
        assert found.prompt_cosine == pytest.approx(max(map(cosine, label.prompts)), abs=1e-5)
        assert found.background_cosine == pytest.approx(max(map(cosine, others)), abs=1e-5)
        logit_of_best = scale * found.margin
        if policy.scoring is Scoring.BEST:
            assert found.score == pytest.approx(sigmoid(logit_of_best), abs=1e-4)


def test_of_phrases_together_the_score_is_their_share_of_a_softmax():
    cosines = {"a gun": 0.24, "a rifle": 0.22, "a person": 0.20, "a drill": 0.23, "a street": 0.10}
    vectors = PhraseVectors.of(list(cosines), np.array([[c, 0] for c in cosines.values()], np.float32))
    label = Label("weapons", ("a gun", "a rifle"), lookalikes=("a drill",))
    policy = Policy("p", ("a person", "a street"), (label,))
    (found,) = score(policy, np.array([[1, 0]], np.float32), vectors, scale=100)
    weights = {phrase: math.exp(100 * cosine) for phrase, cosine in cosines.items()}
    assert found.score == pytest.approx(
        (weights["a gun"] + weights["a rifle"]) / sum(weights.values()), abs=1e-4
    )
    assert (found.prompt, found.background) == ("a gun", "a drill")


def test_the_score_is_the_two_way_comparison_of_the_design():
    vectors = PhraseVectors.of(["a gun", "a person"], np.array([[0.24, 0], [0.20, 0]], np.float32))
    policy = Policy("p", ("a person",), (Label("weapons", ("a gun",)),))
    (found,) = score(policy, np.array([[1, 0]], np.float32), vectors, scale=100)
    assert found.score == pytest.approx(1 / (1 + np.exp(-4)), abs=1e-4)
    assert found.margin == pytest.approx(0.04, abs=1e-6)


@pytest.mark.parametrize("spoilt", [np.nan, np.inf])
def test_a_vector_that_is_not_finite_is_an_error_and_not_a_low_score(spoilt):
    vectors = PhraseVectors.of(["a gun", "a person"], np.eye(2, dtype=np.float32))
    policy = Policy("p", ("a person",), (Label("weapons", ("a gun",)),))
    with np.errstate(invalid="ignore"), pytest.raises(ValueError, match="not finite"):
        score(policy, np.array([[spoilt, 1]], np.float32), vectors, scale=100)


def test_phrases_and_vectors_must_be_as_many():
    with pytest.raises(ValueError, match="2 phrases, but 3 vectors"):
        PhraseVectors.of(["a", "b"], np.eye(3, dtype=np.float32))


@given(st.floats(-1e6, 1e6))
def test_the_sigmoid_never_overflows_and_is_symmetric(x):
    assert 0 <= sigmoid(x) <= 1
    assert sigmoid(x) + sigmoid(-x) == pytest.approx(1)


@given(unit_vectors(1), unit_vectors(5), SCALES, st.floats(-20, 20))
def test_a_ranking_sums_to_1_and_follows_the_cosines(embedding, labels, scale, bias):
    ranked = rank_labels(embedding[0], labels, scale, bias)
    assert ranked.sum() == pytest.approx(1, abs=1e-5)
    best = int((labels @ embedding[0]).argmax())
    assert ranked[best] == pytest.approx(ranked.max(), abs=1e-4)


def test_a_ranking_of_huge_logits_does_not_overflow():
    ranked = rank_labels(np.array([1, 0], np.float32), np.eye(2, dtype=np.float32), scale=1e5)
    assert ranked.tolist() == [1, 0]


def test_pairs_are_judged_one_by_one():
    alone = score_pairs(np.array([1, 0], np.float32), np.array([[1, 0]], np.float32), scale=10, bias=-10)
    both = score_pairs(np.array([1, 0], np.float32), np.eye(2, dtype=np.float32), scale=10, bias=-10)
    assert alone.tolist() == [0.5]
    assert both[0] == alone[0]
    assert both[1] == pytest.approx(sigmoid(-10))
