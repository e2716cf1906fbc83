"""What the tasks make of messages and of what is away; how submissions are settled is the use case's."""

from types import SimpleNamespace

import pytest
from celery.exceptions import Reject

from worker.client.messages import to_many_message
from worker.domain.submission import LocalFile, Submission
from worker.errors import DatabaseUnavailableError
from worker.tasks import moderation

MESSAGE = {"id": "post-42", "source": {"kind": "file", "path": "cat.jpg"}}


class Settle:
    """Stands in for SettleSubmissions."""

    def __init__(self, *, away=False):
        self.away, self.settled, self.refused = away, [], {}

    def __call__(self, submissions):
        if self.away:
            raise DatabaseUnavailableError("the database is away")
        self.settled += [one.id for one in submissions]

    def refuse(self, submission_id, error):
        if self.away:
            raise DatabaseUnavailableError("the database is away")
        self.refused[submission_id] = error.message


@pytest.fixture
def settle_with(monkeypatch):
    monkeypatch.setattr(moderation, "PAUSE_SECONDS", 0)

    def install(**options) -> Settle:
        settle = Settle(**options)
        monkeypatch.setitem(moderation.app.__dict__, "service", SimpleNamespace(settle=settle))
        return settle

    return install


def many(*ids):
    return to_many_message([Submission(name, LocalFile("cat.jpg")) for name in ids])


def test_a_message_is_settled(settle_with):
    settle = settle_with()
    moderation.check(**MESSAGE)
    moderation.check_many(**many("a", "b"))
    assert settle.settled == ["post-42", "a", "b"]


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (moderation.check, MESSAGE),
        (moderation.check, {"id": "post-42"}),
        (moderation.check_many, {"submissions": [MESSAGE]}),
        (moderation.check_many, {"submissions": [MESSAGE], "colour": "red"}),
    ],
)
def test_what_is_away_sends_the_message_back_as_it_came(settle_with, task, message):
    settle_with(away=True)
    with pytest.raises(Reject) as rejected:
        task(**message)
    assert rejected.value.requeue


def test_of_many_those_that_are_no_submission_are_refused_and_the_others_settled(settle_with):
    settle = settle_with()
    message = many("a", "c")
    message["submissions"] += [
        {"id": "d"},
        {"source": {"kind": "file", "path": "no-id.jpg"}},
        {"id": "e", "x": 1},
    ]
    moderation.check_many(**message)
    assert settle.settled == ["a", "c"]
    assert set(settle.refused) == {"d", "e"}
    assert "field 'source' is missing" in settle.refused["d"]
    assert "unknown field 'x'" in settle.refused["e"]


@pytest.mark.parametrize(
    "message",
    [
        {"submissions": [MESSAGE] * 65},
        {"submissions": [MESSAGE], "colour": "red"},
        {"submissions": [MESSAGE, 7]},
    ],
)
def test_a_message_of_many_that_is_none_leaves_a_trace_of_each(settle_with, message):
    settle = settle_with()
    moderation.check_many(**message)
    assert set(settle.refused) == {"post-42"}
    assert settle.settled == []


@pytest.mark.parametrize("message", [{}, {"submissions": None}, {"submissions": {}}, {"submissions": [[]]}])
def test_a_message_of_many_without_submissions_is_refused_and_nothing_more(settle_with, message):
    settle = settle_with()
    moderation.check_many(**message)
    assert (settle.refused, settle.settled) == ({}, [])
