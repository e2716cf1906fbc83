"""What changed is counted as it is, and the figures against verdicts mean what they say."""

from dataclasses import replace

import numpy as np

from worker.domain.evaluation.comparison import BINS, Change, PolicyAgreement, Tally
from worker.domain.policies.policy import Label, Policy


def test_the_larger_change_has_the_larger_size():
    def judgement(actions, scores, flagged):
        return Change(
            np.array([0, 0, 0], np.uint8),
            np.array(actions, np.uint8),
            np.zeros((1, 3), bool),
            np.array([flagged]),
            {"a": np.zeros(3)},
            {"a": np.array(scores)},
        )

    change = judgement([1, 1, 2], [0.6, 0.9, 0.96], [True, True, True])
    sizes = change.sizes(np.arange(3))
    assert sizes.tolist() == sorted(sizes)
    assert change.changed.all()


def test_precision_and_recall_are_those_of_the_verdicts():
    policy = Policy("p", ("phrase 0",), (Label("a", ("phrase 1",)),))
    tally = Tally.of(policy, policy)
    change = Change(
        np.array([1, 1, 0, 0], np.uint8),
        np.array([1, 0, 1, 0], np.uint8),
        np.array([[True, True, False, False]]),
        np.array([[True, False, True, False]]),
        {"a": np.zeros(4)},
        {"a": np.zeros(4)},
    )
    tally.add(change, np.zeros(4))
    answers = np.array([True, False, True])
    tally.add_verdicts(change, np.array([0, 1, 2]), answers, answers[None])
    assert tally.verdicts == 3
    assert (tally.old_agreement.precision, tally.old_agreement.recall) == (0.5, 0.5)
    assert (tally.new_agreement.precision, tally.new_agreement.recall) == (1.0, 1.0)
    assert tally.labels[0].agreements == (PolicyAgreement(2, 2, 1), PolicyAgreement(2, 2, 2))


def test_nobody_was_asked_about_a_new_label_that_no_verdict_names():
    old = Policy("p", ("phrase 0",), ())
    tally = Tally.of(old, replace(old, labels=(Label("a", ("phrase 1",)),)))
    (label,) = tally.labels
    label.new_scores = np.zeros(BINS, np.int64)
    label.new_agreement.add(np.array([True]), np.array([False]))
    assert [agreement.precision for agreement in label.agreements] == [None, None]
    label.new_agreement.add(np.array([True]), np.array([True]))
    assert [agreement.precision for agreement in label.agreements] == [None, 0.5]
