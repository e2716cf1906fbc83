"""Who has to wait: the queue's order."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from worker.domain.moderation.decision import Decision, decide
from worker.domain.moderation.scoring import LabelScore
from worker.domain.policies.policy import Action, Label, Policy, Reviewing
from worker.domain.reviews.review import ReviewKind, kind_of_review, order_of, place_in_queue, priority


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


NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
HASTY = Label("hasty", ("a",), severity=3, reviewing=Reviewing("urgent", 30))
SLOW = Label("slow", ("b",), severity=3, block=0.9)
QUIET = Label("quiet", ("c",), severity=3, reviewing=Reviewing(within_minutes=600))
ROUTED = Policy("p", ("x",), (HASTY, SLOW, QUIET), reviewing=Reviewing("general", 1440))


def judged(policy=ROUTED, **scores):
    return decide(policy, [LabelScore(name, value, "a", 0.2, "b", 0.1) for name, value in scores.items()])


def test_the_gravest_label_that_names_a_queue_routes_and_the_most_urgent_sets_the_deadline():
    place = place_in_queue(ROUTED, judged(slow=0.7, hasty=0.6), NOW)
    assert (place.queue, place.deadline_at) == ("urgent", NOW + timedelta(minutes=30))
    place = place_in_queue(ROUTED, judged(slow=0.7), NOW)
    assert (place.queue, place.deadline_at) == ("general", NOW + timedelta(days=1))
    place = place_in_queue(ROUTED, judged(slow=0.7, quiet=0.6), NOW)
    assert (place.queue, place.deadline_at) == ("general", NOW + timedelta(minutes=600))


def test_what_no_label_is_flagged_on_follows_the_policy():
    place = place_in_queue(ROUTED, Decision(Action.REVIEW, "not judged"), NOW)
    assert (place.queue, place.deadline_at) == ("general", NOW + timedelta(days=1))
    place = place_in_queue(replace(ROUTED, reviewing=Reviewing()), Decision(Action.REVIEW, "not judged"), NOW)
    assert (place.queue, place.deadline_at) == ("default", None)


def test_what_is_nearest_to_a_threshold_comes_first_among_the_equally_urgent():
    places = [place_in_queue(ROUTED, judged(slow=score), NOW).priority for score in (0.51, 0.88, 0.6, 0.7)]
    assert places == sorted(places, reverse=True)


WAITING = st.tuples(st.integers(0, 5), st.integers(0, 900), st.floats(0, 1))


@given(WAITING, WAITING)
def test_severity_then_the_hour_then_uncertainty_decide(first, second):
    (severity, hours, sure), (other, more_hours, unsure) = first, second
    one = order_of(severity, NOW + timedelta(hours=hours), sure)
    two = order_of(other, NOW + timedelta(hours=more_hours), unsure)
    if severity != other:
        assert (one > two) == (severity > other)
    elif hours != more_hours:
        assert (one > two) == (hours < more_hours)
    elif abs(sure - unsure) > 1e-3 and max(sure, unsure) < 0.999:
        assert (one > two) == (sure > unsure)


def test_what_only_measures_is_answered_blindly():
    assert [kind.value for kind in ReviewKind if not kind.decides] == ["second", "golden"]
    assert [kind.value for kind in ReviewKind if kind.is_blind] == ["second", "golden"]
