"""What the tasks do with failures, with a use case that fails as it is told to."""

import threading
from collections import Counter
from types import SimpleNamespace

import pytest
from celery.exceptions import Reject, Retry

from worker.client.messages import to_many_message
from worker.domain.submission import LocalFile, Submission
from worker.errors import DatabaseUnavailableError, RemoteUnavailableError, UnknownPolicyError
from worker.settings import Settings
from worker.tasks import moderation

MESSAGE = {"id": "post-42", "source": {"kind": "file", "path": "cat.jpg"}}
SIGNED = "https://cdn.example.com/cat.jpg?signature=5ec7e7"


class Failing:
    """Stands in for ModerateImage: raises what is set for an id, decides every other."""

    def __init__(self, **errors: Exception) -> None:
        self.errors = {name.replace("_", "-"): error for name, error in errors.items()}
        self.attempts, self.decided, self.given_up, self.refused = Counter(), set(), {}, {}
        self._lock = threading.Lock()

    def __call__(self, submission):
        with self._lock:
            self.attempts[submission.id] += 1
        if submission.id in self.errors:
            raise self.errors[submission.id]
        self.decided.add(submission.id)
        return 1

    def give_up(self, submission, problem):
        self.given_up[submission.id] = problem
        return 1

    def refuse(self, submission_id, error):
        self.refused[submission_id] = error.message


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(moderation, "PAUSE_SECONDS", 0)


@pytest.fixture
def fail_with(monkeypatch):
    def install(**errors: Exception) -> Failing:
        failing = Failing(**errors)
        parts = {"service": SimpleNamespace(moderate_image=failing), "settings": Settings(concurrency=4)}
        for name, part in parts.items():
            monkeypatch.setitem(moderation.app.__dict__, name, part)
        return failing

    return install


def many(*ids):
    return to_many_message([Submission(name, LocalFile("cat.jpg")) for name in ids])


def test_after_three_surprises_the_policys_on_error_decides(fail_with):
    failing = fail_with(post_42=ZeroDivisionError(f"nobody foresaw {SIGNED}"))
    moderation.check.apply(kwargs=MESSAGE)
    assert failing.attempts["post-42"] == 3
    problem = failing.given_up["post-42"]
    assert problem.startswith("judging it failed 3 times")
    assert "nobody foresaw https://cdn.example.com/cat.jpg" in problem
    assert "5ec7e7" not in problem


def test_a_server_of_somebody_elses_that_is_away_is_not_waited_for_for_ever(fail_with):
    failing = fail_with(post_42=RemoteUnavailableError("cdn.example.com answered 503"))
    moderation.check.apply(kwargs=MESSAGE)
    assert failing.attempts["post-42"] == 3
    assert failing.given_up == {"post-42": "cdn.example.com answered 503, 3 times"}


def test_what_is_away_sends_the_message_back_as_it_came(fail_with):
    failing = fail_with(post_42=DatabaseUnavailableError("the database is away"))
    with pytest.raises(Reject) as rejected:
        moderation.check(**MESSAGE)
    assert rejected.value.requeue
    assert failing.given_up == {}


def test_each_of_many_is_settled_on_its_own(fail_with):
    failing = fail_with(b=UnknownPolicyError("no such policy"))
    message = many("a", "b", "c")
    message["submissions"] += [
        {"id": "d"},
        {"source": {"kind": "file", "path": "no-id.jpg"}},
        {"id": "e", "x": 1},
    ]
    moderation.check_many(**message)
    assert failing.decided == {"a", "c"}
    assert failing.refused["b"] == "no such policy"
    assert "field 'source' is missing" in failing.refused["d"]
    assert "unknown field 'x'" in failing.refused["e"]


def test_of_many_those_that_fail_are_tried_again_without_the_others(fail_with):
    failing = fail_with(b=ZeroDivisionError("b"), c=RemoteUnavailableError("c is away"))
    moderation.check_many.apply(kwargs=many("a", "b", "c", "d"))
    assert failing.attempts == {"a": 1, "b": 3, "c": 3, "d": 1}
    assert set(failing.given_up) == {"b", "c"}
    assert failing.decided == {"a", "d"}


def test_while_something_is_away_many_go_back_whole_and_the_others_are_decided(fail_with):
    failing = fail_with(b=DatabaseUnavailableError("the database is away"), c=ZeroDivisionError("c"))
    with pytest.raises(Reject) as rejected:
        moderation.check_many(**many("a", "b", "c"))
    assert rejected.value.requeue
    assert (failing.decided, failing.given_up) == ({"a"}, {})


def test_what_cannot_be_begun_in_time_is_handed_on(fail_with, monkeypatch):
    failing = fail_with()
    handed_on = []
    monkeypatch.setattr(moderation, "BEGIN_SECONDS", 0)
    monkeypatch.setattr(
        moderation.check_many, "apply_async", lambda **options: handed_on.append(options), raising=False
    )
    message = many("a", "b")
    moderation.check_many(**message)
    (options,) = handed_on
    assert options["kwargs"] == message
    assert options["retries"] == 0
    assert failing.decided == set()


@pytest.mark.parametrize(
    "message",
    [
        {"submissions": [MESSAGE] * 65},
        {"submissions": [MESSAGE], "colour": "red"},
        {"submissions": [MESSAGE, 7]},
    ],
)
def test_a_message_of_many_that_is_none_leaves_a_trace_of_each(fail_with, message):
    failing = fail_with()
    moderation.check_many(**message)
    assert set(failing.refused) == {"post-42"}
    assert failing.decided == set()


@pytest.mark.parametrize("message", [{}, {"submissions": None}, {"submissions": {}}, {"submissions": [[]]}])
def test_a_message_of_many_without_submissions_is_refused_and_nothing_more(fail_with, message):
    failing = fail_with()
    moderation.check_many(**message)
    assert (failing.refused, failing.decided) == ({}, set())


def test_what_is_tried_again_shows_no_arguments_to_monitors(fail_with, monkeypatch):
    fail_with(post_42=RemoteUnavailableError("away"))
    seen = {}

    def retry(**options):
        seen.update(options)
        return Retry("again")

    monkeypatch.setattr(moderation.check, "retry", retry, raising=False)
    with pytest.raises(Retry):
        moderation.check(id="post-42", source={"kind": "url", "url": SIGNED})
    assert seen["kwargs"]["source"]["url"] == SIGNED
    assert "5ec7e7" not in seen["kwargsrepr"]
