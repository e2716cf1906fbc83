"""What the tasks make of messages, with a service that only listens."""

from types import SimpleNamespace

import pytest
from celery.exceptions import Reject
from moderation_client.messages import to_many_message
from moderation_client.submission import LocalFile, Submission

from worker.domain.submissions.dropped_message import DropReason
from worker.errors import DatabaseUnavailableError, ModelError, SchemaError, SettingsError
from worker.settings import Settings
from worker.tasks import moderation
from worker.usecases.moderation.settle_submissions import Failure

INDEX = ValueError("index is corrupted")
MESSAGE = {"id": "post-42", "source": {"kind": "file", "path": "cat.jpg"}}


class Listening:
    """Stands in for the service: keeps what is to be settled and what is refused, or fails."""

    def __init__(self) -> None:
        self.settled, self.refused, self.away = [], {}, None
        #: Ids that the ledger cannot take, and messages that may be set aside.
        self.broken, self.can_be_set_aside, self.kept = set(), False, []
        self.dropped = SimpleNamespace(note=lambda reason, *_: self.noted.append(reason))
        self.noted = []

    def settle(self, submissions, spread):
        self._look()
        good = [one for one in submissions if one.id not in self.broken]
        self.settled += spread(lambda one: one.id, good)
        return [Failure(one, INDEX) for one in submissions if one.id in self.broken]

    def refuse(self, submission_id, error):
        self._look()
        if submission_id in self.broken:
            raise INDEX
        self.refused[submission_id] = error.message

    def set_aside(self, message, error):
        assert error is INDEX
        if self.can_be_set_aside:
            self.kept.append(message)
        return self.can_be_set_aside

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
    assert rejected.value.requeue  # type: ignore[attr-defined]


class Panic(BaseException):
    """What some libraries raise, which is no Exception."""


@pytest.mark.parametrize(
    "error",
    [KeyError("a mistake"), ModelError("no model"), SettingsError("no"), SchemaError("no"), INDEX, Panic()],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize(
    ("task", "message"),
    [
        (moderation.check, MESSAGE),
        (moderation.check_many, many("a", "b")),
    ],
)
def test_whatever_is_raised_the_message_goes_back(service, task, message, error):
    service.away = error
    with pytest.raises(Reject) as rejected:
        task(**message)
    assert rejected.value.requeue  # type: ignore[attr-defined]


def test_a_service_that_cannot_be_opened_loses_no_message(service, monkeypatch):
    class Broken(type(moderation.app)):
        @property
        def service(self):
            raise ModelError("the model cannot be loaded")

    monkeypatch.setattr(moderation.app, "__class__", Broken)
    for task, message in ((moderation.check, MESSAGE), (moderation.check_many, many("a"))):
        with pytest.raises(Reject) as rejected:
            task(**message)
        assert rejected.value.requeue  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "message",
    [
        {"submissions": [{"id": "bad"}, MESSAGE]},
        {"submissions": [{"id": "bad", "source": {"kind": "file", "path": "a.jpg"}}, MESSAGE]},
    ],
    ids=["cannot be refused", "cannot be claimed"],
)
def test_what_the_ledger_cannot_take_comes_back_until_it_is_set_aside(service, message):
    service.broken = {"bad"}
    with pytest.raises(Reject) as rejected:
        moderation.check_many(**message)
    assert rejected.value.requeue  # type: ignore[attr-defined]
    assert service.settled == ["post-42"]
    service.can_be_set_aside = True
    moderation.check_many(**message)
    assert [one["id"] for one in service.kept] == ["bad"]


def test_of_a_message_of_many_that_is_none_what_cannot_be_refused_comes_back(service):
    service.broken = {"bad"}
    message = {"submissions": [{"id": "bad"}, MESSAGE, 7]}
    with pytest.raises(Reject):
        moderation.check_many(**message)
    assert set(service.refused) == {"post-42"}


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


def test_of_a_message_of_far_too_many_all_leave_a_trace(service):
    most = moderation._MOST_REFUSED
    moderation.check_many(submissions=[MESSAGE | {"id": f"post-{n}"} for n in range(most)])
    assert (len(service.refused), service.noted) == (most, [])
    moderation.check_many(submissions=[MESSAGE | {"id": f"post-{n}"} for n in range(most + 1)])
    assert (len(service.refused), service.noted) == (most, [DropReason.NOT_A_TASK])
