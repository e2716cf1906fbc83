"""Learning from verdicts: calibration, heads, examples, thresholds, and the guard that adopts them or not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.domain.evaluation.intervals import lower_bound
from worker.domain.learning.calibration import calibrate, log_losses
from worker.domain.learning.candidates import choose_examples
from worker.domain.learning.evidence import Archive, Evidence
from worker.domain.learning.guard import AS_IT_IS, propose
from worker.domain.learning.head import fit_head
from worker.domain.learning.thresholds import needed_verdicts, precision_threshold, recall_threshold
from worker.domain.moderation.additions import sigmoid

DIMENSION = 16
SCALE = 20.0


def unit(matrix):
    return (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32)


def simulated(count, seed, *, useful=True, share=0.3, noise=2.0):
    """Return evidence and an archive: logits that are noisy, embeddings that tell more, if they are useful."""
    random = np.random.default_rng(seed)
    truth = random.random(count) < share
    truth[:6] = [True, False] * 3
    direction = np.zeros(DIMENSION)
    direction[0] = 2.5
    vectors = random.normal(size=(count, DIMENSION)) + 1 + (np.outer(truth, direction) if useful else 0)
    logits = np.where(truth, 1.0, -1.0) + noise * random.normal(size=count)
    archive = Archive.of(unit(random.normal(size=(200, DIMENSION)) + 1), SCALE)
    probabilities = np.where(logits >= 0, 1.0, 0.2)
    return Evidence.of(logits, unit(vectors), truth, probabilities, np.arange(count), archive), archive


def test_calibration_finds_the_line_that_the_answers_follow():
    random = np.random.default_rng(0)
    logits = 3 * random.normal(size=20_000)
    truth = random.random(20_000) < sigmoid(0.7 * logits - 1.5)
    slope, intercept = calibrate(logits, truth, np.ones(len(logits)))
    assert (slope, intercept) == pytest.approx((0.7, -1.5), abs=0.05)


@given(st.integers(0, 2**32 - 1), st.integers(2, 40))
def test_calibration_keeps_the_order_of_pictures(seed, count):
    random = np.random.default_rng(seed)
    slope, _ = calibrate(random.normal(size=count), random.random(count) < 0.5, np.ones(count))
    assert slope > 0


def test_weights_count_a_picture_for_as_many_as_it_stands_for():
    logits, truth = np.array([1.0, 1.0, -1.0, -1.0]), np.array([True, False, False, True])
    weighted = calibrate(logits, truth, np.array([3.0, 1.0, 3.0, 1.0]))
    repeats = np.repeat(np.arange(4), [3, 1, 3, 1])
    assert weighted == pytest.approx(calibrate(logits[repeats], truth[repeats], np.ones(8)), abs=1e-3)


def test_a_head_corrects_what_the_logit_gets_wrong():
    evidence, _ = simulated(200, 1)
    head = fit_head(evidence.logits, evidence.standardised, evidence.truth)
    before = log_losses(evidence.logits, evidence.truth).mean()
    assert log_losses(evidence.logits + head(evidence.standardised), evidence.truth).mean() < before / 2


def test_chosen_examples_come_first_and_the_others_are_varied():
    evidence, _ = simulated(120, 2)
    chosen = evidence.vectors[~evidence.truth][:2]
    examples = choose_examples(evidence, chosen)
    np.testing.assert_array_equal(examples[:2], chosen)
    assert len(examples) == len(np.unique(examples, axis=0)) == 16
    repeated = evidence[np.flatnonzero(evidence.truth)[:1].repeat(9)]
    assert len(choose_examples(repeated, chosen[:0])) == 1


def test_what_helps_is_adopted_and_says_how_much():
    evidence, archive = simulated(200, 3)
    found = propose("weapons", "c", evidence, archive, evidence.vectors[:0])
    assert found.adopted != AS_IT_IS
    assert found.learned is not None
    assert found.before
    assert found.after
    assert found.after.log_loss < found.before.log_loss
    assert "on held-out verdicts" in found.reason


@pytest.mark.parametrize("seed", range(6))
def test_where_there_is_nothing_to_learn_a_label_stays_as_it_is(seed):
    random = np.random.default_rng(seed)
    evidence, archive = simulated(120, seed, useful=False)
    # Logits that are right already.
    logits = 3 * random.normal(size=120)
    truth = random.random(120) < sigmoid(logits)
    perfect = Evidence.of(logits, evidence.vectors, truth, np.ones(120), np.arange(120), archive)
    found = propose("weapons", "c", perfect, archive, evidence.vectors[:0])
    assert found.adopted in {AS_IT_IS, "calibration"}
    if found.adopted == AS_IT_IS:
        assert found.learned is None
        assert "within its error" in found.reason


@pytest.mark.parametrize(("count", "said"), [(24, "24 of 25 verdicts"), (0, "0 of 25 verdicts")])
def test_below_25_verdicts_nothing_is_learned(count, said):
    evidence, archive = simulated(40, 4)
    few = evidence[np.arange(count)]
    found = propose("weapons", "c", few, archive, evidence.vectors[:0])
    assert found.learned is None
    assert said in found.reason


def test_verdicts_that_all_say_the_same_teach_nothing():
    evidence, archive = simulated(80, 5)
    same = evidence[np.flatnonzero(~evidence.truth)]
    found = propose("weapons", "c", same, archive, evidence.vectors[:0])
    assert "0 of 3 verdicts of the rarer answer" in found.reason


def test_without_verdicts_examples_that_people_chose_are_learned_unmeasured():
    evidence, archive = simulated(40, 6)
    found = propose("weapons", "c", evidence[np.arange(0)], archive, evidence.vectors[:2])
    assert found.learned is not None
    assert len(found.learned.examples) == 2
    assert "not measured" in found.reason


def test_the_order_of_the_verdicts_changes_little():
    evidence, archive = simulated(150, 7)
    one = propose("weapons", "c", evidence, archive, evidence.vectors[:0])
    other = propose("weapons", "c", evidence[np.arange(150)[::-1]], archive, evidence.vectors[:0])
    assert one.after
    assert other.after
    assert one.after.log_loss == pytest.approx(other.after.log_loss, abs=0.1)


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.9, 0.95]))
@settings(max_examples=30)
def test_above_a_precision_threshold_the_bound_reaches_the_target(seed, target):
    random = np.random.default_rng(seed)
    scores = random.random(300)
    truth = random.random(300) < scores
    found = precision_threshold(scores, truth, target)
    if found.score is not None:
        above = scores >= found.score
        assert lower_bound(int(truth[above].sum()), int(above.sum()), 0.9) >= target


@pytest.mark.parametrize(("target", "needed"), [(0.90, 22), (0.95, 45), (0.98, 114), (0.99, 230)])
def test_a_precision_without_an_error_is_shown_by_this_many(target, needed):
    scores = np.linspace(0.9, 0.99, needed)
    assert needed_verdicts(target) == needed
    assert precision_threshold(scores, np.ones(needed, bool), target).score == pytest.approx(0.9)
    missing = precision_threshold(scores[1:], np.ones(needed - 1, bool), target)
    assert missing.score is None
    assert f"{needed - 1} of at least {needed} verdicts" in str(missing)


def test_a_recall_threshold_leaves_room_for_chance():
    scores = np.linspace(0, 1, 201)
    truth, weights = np.ones(201, bool), np.ones(201)
    found = recall_threshold(scores, truth, weights, 0.9)
    assert found.score is not None
    assert found.score < 0.1
    heavy = np.where(scores < 0.2, 20.0, 1.0)
    audited = recall_threshold(scores, truth, heavy, 0.9)
    assert audited.score is None or audited.score < found.score
    assert recall_threshold(scores, ~truth, weights, 0.9).score is None
