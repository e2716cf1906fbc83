"""What the task does when judging fails in a way nobody foresaw, with a use case that always does."""

from types import SimpleNamespace

import pytest
from celery.exceptions import Reject

from worker.errors import DatabaseUnavailableError
from worker.tasks import moderation

MESSAGE = {"id": "post-42", "source": {"kind": "file", "path": "cat.jpg"}}


class Failing:
    """Stands in for ModerateImage."""

    def __init__(self, error: Exception) -> None:
        self.error, self.attempts, self.given_up = error, 0, []

    def __call__(self, _submission):
        self.attempts += 1
        raise self.error

    def give_up(self, submission, problem):
        self.given_up.append((submission.id, problem))


@pytest.fixture
def fail_with(monkeypatch):
    def install(error: Exception) -> Failing:
        failing = Failing(error)
        monkeypatch.setitem(moderation.app.__dict__, "service", SimpleNamespace(moderate_image=failing))
        return failing

    return install


def test_after_three_surprises_the_policys_on_error_decides(fail_with):
    failing = fail_with(ZeroDivisionError("nobody foresaw"))
    moderation.check.apply(kwargs=MESSAGE)
    assert failing.attempts == 3
    ((submission, problem),) = failing.given_up
    assert submission == "post-42"
    assert problem.startswith("judging it failed 3 times")
    assert "nobody foresaw" in problem


def test_what_is_away_sends_the_message_back_as_it_came(fail_with, monkeypatch):
    monkeypatch.setattr(moderation, "PAUSE_SECONDS", 0)
    failing = fail_with(DatabaseUnavailableError("the database is away"))
    with pytest.raises(Reject) as rejected:
        moderation.check(**MESSAGE)
    assert rejected.value.requeue
    assert failing.given_up == []
