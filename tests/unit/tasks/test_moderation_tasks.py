"""What the tasks make of messages, with a service that only listens."""

from types import SimpleNamespace

import pytest
from celery.exceptions import Reject

from worker.client.messages import to_many_message
from worker.domain.dropped_message import DropReason
from worker.domain.submission import LocalFile, Submission
from worker.errors import DatabaseUnavailableError
from worker.settings import Settings
from worker.tasks import moderation

MESSAGE = {"id": "post-42", "source": {"kind": "file", "path": "cat.jpg"}}


class Listening:
    """Stands in for the service: keeps what is to be settled and what is refused, or is away."""

    def __init__(self) -> None:
        self.settled, self.refused, self.away = [], {}, None
        self.moderate_image = SimpleNamespace(refuse=self._refuse)
        self.dropped = SimpleNamespace(note=lambda reason, *_: self.noted.append(reason))
        self.noted = []

    def settle(self, submissions, spread):
        self._look()
        self.settled += spread(lambda one: one.id, submissions)

    def _refuse(self, submission_id, error):
        self._look()
        self.refused[submission_id] = error.message

    def _look(self):
        if self.away:
            raise self.away


@pytest.fixture
def service(monkeypatch):
    listening = Listening()
    monkeypatch.setattr(moderation, "PAUSE_SECONDS", 0)
    for name, part in {"service": listening, "settings": Settings(concurrency=4)}.items():
        monkeypatch.setitem(moderation.app.__dict__, name, part)
    return listening


def many(*ids):
    return to_many_message([Submission(name, LocalFile("cat.jpg")) for name in ids])


def test_one_is_settled(service):
    moderation.check.apply(kwargs=MESSAGE)
    assert service.settled == ["post-42"]


def test_of_many_those_that_cannot_be_read_are_refused_and_the_others_settled_at_once(service):
    message = many("a", "b")
    message["submissions"] += [
        {"id": "d"},
        {"source": {"kind": "file", "path": "no-id.jpg"}},
        {"id": "e", "source": {"kind": "file", "path": "a.jpg"}, "x": 1},
    ]
    moderation.check_many.apply(kwargs=message)
    assert service.settled == ["a", "b"]
    assert set(service.refused) == {"d", "e"}
    assert service.noted == [DropReason.NO_ID]
    assert "field 'source' is missing" in service.refused["d"]
    assert "unknown field 'x'" in service.refused["e"]


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (moderation.check, MESSAGE),
        (moderation.check, {"id": "post-42"}),
        (moderation.check_many, many("a", "b")),
        (moderation.check_many, {"submissions": [MESSAGE, 7]}),
    ],
)
def test_while_something_is_away_the_message_goes_back_as_it_came(service, task, message):
    service.away = DatabaseUnavailableError("the database is away")
    with pytest.raises(Reject) as rejected:
        task(**message)
    assert rejected.value.requeue


def test_positional_arguments_are_refused(service):
    moderation.check.apply(args=["cat.jpg"], kwargs=MESSAGE)
    assert "positional" in service.refused["post-42"]
    assert service.settled == []


@pytest.mark.parametrize("name", ["self", "task", "args", "positional", "message"])
def test_a_field_of_any_name_is_only_an_unknown_field(service, name):
    moderation.check.apply(kwargs={**MESSAGE, name: 1})
    assert f"unknown field {name!r}" in service.refused["post-42"]


@pytest.mark.parametrize(
    "message",
    [
        {"submissions": [MESSAGE] * 65},
        {"submissions": [MESSAGE], "colour": "red"},
        {"submissions": [MESSAGE, 7]},
    ],
)
def test_a_message_of_many_that_is_none_leaves_a_trace_of_each(service, message):
    moderation.check_many(**message)
    assert set(service.refused) == {"post-42"}
    assert service.settled == []


@pytest.mark.parametrize("message", [{}, {"submissions": None}, {"submissions": {}}, {"submissions": [[]]}])
def test_a_message_of_many_without_submissions_is_refused_and_nothing_more(service, message):
    moderation.check_many(**message)
    assert (service.refused, service.settled) == ({}, [])
