"""Only messages that were lost are published again: counted on a real Redis, on both databases."""

import base64
import json
from dataclasses import replace
from datetime import timedelta

import pytest
import redis
from moderation_client.messages import to_message
from moderation_client.submission import InlineBytes, LocalFile, Submission
from sqlalchemy import select, update
from support.deployment import deploy

from worker.errors import BrokerUnavailableError
from worker.observability.metrics import Metrics, WebMetrics
from worker.store.engine.tables import SubmissionRow
from worker.store.submissions.arrivals import Arrival
from worker.store.submissions.claim_status import ClaimResult, ClaimStatus
from worker.usecases.submissions.accept_submissions import AcceptSubmissions
from worker.usecases.submissions.claim_submissions import ClaimSubmissions
from worker.usecases.submissions.publish_pending import PublishPending
from worker.usecases.submissions.publish_submissions import PublishSubmissions
from worker.usecases.submissions.republish_due import RepublishDue
from worker.usecases.submissions.republish_lost import RepublishLost

FILE = LocalFile("a.jpg")


class Backlog:
    """Submissions that were accepted over HTTP, and the queue as Redis holds it."""

    def __init__(self, deployment, client, broker):
        self.deployment, self.client, self.broker = deployment, client, broker
        self.queue = deployment.settings.queue
        publish = PublishSubmissions(client)
        pending = PublishPending(deployment.database, publish, Metrics())
        self.due = RepublishDue(deployment.database, pending)
        self.lost = RepublishLost(deployment.database, client, pending)
        self._accept = AcceptSubmissions(
            deployment.database, deployment.settings.policies, publish, WebMetrics()
        )

    def accept(self, *numbers, source=FILE):
        for number in numbers:
            self._accept([Submission(f"upload-{number}", source)])

    def let_pass(self, **time):
        """Let all that is in the ledger be so much older."""
        passed = timedelta(**time)
        with self.deployment.database.transaction() as session:
            for row in session.scalars(select(SubmissionRow)):
                for name in ("publish_at", "published_at", "claimed_until"):
                    if moment := getattr(row, name):
                        setattr(row, name, moment - passed)

    def pop(self):
        """Take the next message, as a worker does that dies before it claims anything."""
        return self.broker.rpop(self.queue)

    @property
    def length(self):
        return self.broker.llen(self.queue)

    def look(self):
        return self.due(), self.lost()


@pytest.fixture
def backlog(tmp_path, redis_url, database_url):
    deployment = deploy(tmp_path, redis_url, database_url)
    with deployment.client() as client, redis.Redis.from_url(redis_url) as broker:
        yield Backlog(deployment, client, broker)
    deployment.database.dispose()


@pytest.mark.parametrize("source", [LocalFile("a.jpg"), InlineBytes(b"abc")])
def test_a_backlog_of_hours_is_published_once(backlog, source):
    backlog.accept(*range(20), source=source)
    for _ in range(6):
        backlog.let_pass(minutes=90)
        assert backlog.look() == (0, 0)
    assert backlog.length == 20


def test_what_was_lost_amid_a_backlog_comes_back_once_the_queue_is_past_it(backlog):
    backlog.accept(1)
    backlog.pop()
    backlog.accept(2)
    backlog.let_pass(minutes=5)
    backlog.accept(*range(3, 13))
    assert backlog.look() == (0, 0), "what waits longest is older than the lost one might be"
    assert b"upload-2" in decoded(backlog.pop())
    ClaimSubmissions(backlog.deployment.database, "ada")([arrival("upload-2")])
    backlog.let_pass(minutes=2)
    assert backlog.lost() == 1
    assert backlog.length == 11
    backlog.let_pass(minutes=2)
    assert (backlog.lost(), backlog.length) == (0, 11)


def test_from_an_empty_queue_all_that_was_lost_comes_back_after_a_minute(backlog):
    backlog.accept(1, 2)
    backlog.broker.delete(backlog.queue)
    assert backlog.look() == (0, 0)
    backlog.let_pass(seconds=61)
    assert backlog.lost() == 2
    assert backlog.deployment.unfinished() == {"upload-1", "upload-2"}


def test_behind_messages_that_the_ledger_does_not_know_the_lost_come_back_within_the_hour(backlog):
    backlog.accept(1)
    backlog.pop()
    for n in range(20):
        backlog.client.submit(LocalFile("a.jpg"), id=f"bare-{n}")
    backlog.let_pass(minutes=59)
    assert backlog.lost() == 0
    backlog.let_pass(minutes=2)
    assert backlog.lost() == 1
    assert backlog.length == 21


def test_what_a_worker_has_claimed_is_not_lost(backlog):
    backlog.accept(1)
    backlog.pop()
    ClaimSubmissions(backlog.deployment.database, "ada")([arrival("upload-1")])
    with backlog.deployment.database.transaction() as session:
        session.execute(update(SubmissionRow).values(publish_at=SubmissionRow.claimed_until))
    assert backlog.look() == (0, 0)
    backlog.let_pass(minutes=2)
    # Its worker died: that is due, not lost.
    assert backlog.look() == (1, 0)
    assert backlog.length == 1


def test_what_a_process_of_an_old_version_claimed_is_lost_once_that_process_died(backlog):
    """Before 0010 a claim left `published_at` as it was."""
    backlog.accept(1)
    backlog.pop()
    database = backlog.deployment.database
    with database.reading() as session:
        published_at = session.scalar(select(SubmissionRow.published_at))
    ClaimSubmissions(database, "ada")([arrival("upload-1")])
    with database.transaction() as session:
        session.execute(update(SubmissionRow).values(published_at=published_at - timedelta(minutes=2)))
    assert backlog.look() == (0, 0)
    backlog.let_pass(minutes=2)
    assert backlog.look() == (0, 1)
    assert ClaimSubmissions(database, "eve")([arrival("upload-1")]) == [
        ClaimResult(ClaimStatus.CRASHED, crashes=1)
    ]


def test_what_http_accepts_is_not_refused_though_it_came_before_as_a_bare_message(backlog):
    database = backlog.deployment.database
    nowhere = replace(arrival("upload-1"), policy_digest=None, problem="not in force")
    ClaimSubmissions(database, "ada")([nowhere])
    backlog.accept(1)
    with database.transaction() as session:
        row = session.scalars(select(SubmissionRow)).one()
        assert (row.state, row.refuse_at) == ("accepted", None)


def test_a_broker_that_is_away_is_asked_again_later(backlog, monkeypatch):
    def away(_):
        raise BrokerUnavailableError("the broker is away")

    backlog.accept(1)
    backlog.let_pass(minutes=2)
    monkeypatch.setattr(backlog.client, "oldest", away)
    with pytest.raises(BrokerUnavailableError):
        backlog.lost()
    assert backlog.length == 1


def test_a_young_queue_is_not_looked_at(backlog, monkeypatch):
    monkeypatch.setattr(backlog.client, "oldest", None)  # a call would fail
    backlog.accept(1)
    assert backlog.look() == (0, 0)


def arrival(name):
    what = Submission(name, LocalFile("a.jpg"))
    source = to_message(what)["source"]
    return Arrival(what, "d" * 64, source, source)


def decoded(raw):
    return base64.b64decode(json.loads(raw)["body"])
