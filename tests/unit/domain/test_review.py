"""Who has to wait: the queue's order."""

from worker.domain.decision import Decision
from worker.domain.policy import Action
from worker.domain.review import ReviewKind, kind_of_review, priority
from worker.domain.scoring import LabelScore


def flagged(severity: int, *scores: float) -> Decision:
    found = tuple(LabelScore(f"label{n}", value, "a", 0.2, "b", 0.1) for n, value in enumerate(scores))
    names = tuple(s.label for s in found if s.score >= 0.5)
    return Decision(Action.REVIEW, "", found, names, severity)


def test_a_person_looks_at_what_is_to_be_reviewed_and_at_nothing_else():
    kinds = [kind_of_review(Decision(action, ""), drawn=False) for action in Action]
    assert kinds == [None, ReviewKind.DECISION, None]


def test_a_person_looks_at_what_the_audit_drew():
    assert kind_of_review(Decision(Action.ALLOW, ""), drawn=True) is ReviewKind.AUDIT


def test_the_graver_comes_first_however_weak():
    assert priority(flagged(4, 0.51)) > priority(flagged(3, 1.0))


def test_of_equally_grave_ones_the_stronger_comes_first():
    assert priority(flagged(3, 0.9)) > priority(flagged(3, 0.6))


def test_only_flagged_labels_count():
    lenient = LabelScore("lenient", 0.8, "a", 0.2, "b", 0.1)
    strict = LabelScore("strict", 0.6, "a", 0.2, "b", 0.1)
    assert priority(Decision(Action.REVIEW, "", (lenient, strict), ("strict",), severity=3)) == 3.6


def test_what_could_not_be_judged_waits_behind_what_was():
    assert priority(Decision(Action.REVIEW, "not judged, the file is empty")) == 0
    assert priority(flagged(1, 0.5)) > 0
