"""What is undecided when its time comes is published again, through a real Redis."""

import itertools
from dataclasses import replace
from datetime import timedelta

import pytest
from moderation_client import Client
from moderation_client.messages import to_message
from moderation_client.submission import InlineBytes, LocalFile, Submission
from sqlalchemy import update
from support.deployment import deploy

from worker.observability.metrics import Metrics, WebMetrics
from worker.store.engine.column_types import utc_now
from worker.store.engine.tables import SubmissionRow
from worker.store.notifications import outbox
from worker.store.submissions.arrivals import Arrival
from worker.usecases.submissions.accept_submissions import AcceptSubmissions
from worker.usecases.submissions.claim_submissions import ClaimSubmissions
from worker.usecases.submissions.publish_pending import PublishPending
from worker.usecases.submissions.publish_submissions import PublishSubmissions
from worker.usecases.submissions.republish_due import RepublishDue

FILE = Submission("upload-1", LocalFile("a.jpg"), policy="stickers", reference="post-42", context={"a": 1})
BYTES = Submission("upload-2", InlineBytes(b"abc"))
DEFAULT = {"url": "https://platform.example/moderated"}


class Nowhere:
    """Publishes nothing: a process that dies right after the commit."""

    def __call__(self, _: object) -> list[str]:
        return []


@pytest.fixture
def deployment(tmp_path, redis_url, database_url):
    made = deploy(tmp_path, redis_url, database_url)
    yield made
    made.database.dispose()


def accept(deployment, *submissions):
    take = AcceptSubmissions(deployment.database, deployment.settings.policies, Nowhere(), WebMetrics())
    take(submissions)


def make_due(deployment, **values):
    past = utc_now() - timedelta(seconds=1)
    with deployment.database.transaction() as session:
        session.execute(update(SubmissionRow).values(publish_at=past, published_at=None, **values))


def republishing(deployment, client, **options):
    publish = PublishSubmissions(client, **options)
    return RepublishDue(deployment.database, PublishPending(deployment.database, publish, Metrics(), DEFAULT))


def test_what_was_never_published_is_published_whole(deployment):
    accept(deployment, FILE, BYTES)
    with deployment.client() as client:
        republish = republishing(deployment, client)
        assert republish() == 0
        make_due(deployment)
        assert republish() == 2
        assert republish() == 0
    assert deployment.unfinished() == {"upload-1", "upload-2"}


def test_a_row_that_holds_no_submission_stops_no_other(deployment):
    accept(deployment, FILE)
    make_due(deployment, pending_source={"kind": "tape"})
    accept(deployment, BYTES)
    make_due(deployment)
    with deployment.client() as client:
        assert republishing(deployment, client)() == 1
    assert deployment.unfinished() == {"upload-2"}
    problem = deployment.refused(1)["upload-1"]
    assert "field 'source.kind' must be one of" in problem
    with deployment.database.reading() as session:
        (event,) = outbox.newest(session, limit=5)
    assert (event.kind, event.submission_id, event.decision_id) == ("submission.refused", "upload-1", None)
    assert (event.problem, event.callback) == (problem, DEFAULT)


def test_what_a_worker_died_of_is_published_again(deployment):
    claim = ClaimSubmissions(deployment.database, "ada")
    claim([Arrival(BYTES, "d" * 64, None, to_message(BYTES)["source"])])
    with deployment.client() as client:
        republish = republishing(deployment, client)
        assert republish() == 0
        make_due(deployment)
        assert republish() == 1
    assert deployment.unfinished() == {"upload-2"}


def test_while_the_broker_is_away_it_is_tried_as_often_as_needed(deployment):
    accept(deployment, FILE)
    make_due(deployment)
    with Client("redis://127.0.0.1:1/0", queue=deployment.settings.queue) as nowhere:
        clock = itertools.count(step=10)
        away = republishing(deployment, nowhere, clock=lambda: next(clock))
        assert [away(), away()] == [0, 0]
    with deployment.client() as client:
        assert republishing(deployment, client)() == 1


def test_a_broker_that_is_away_is_left_alone_for_a_moment(deployment):
    now = 100.0
    away = replace(
        deployment, settings=deployment.settings.model_copy(update={"broker_url": "redis://127.0.0.1:1/0"})
    )
    with away.client() as client:
        publish = PublishSubmissions(client, clock=lambda: now)
        assert publish([FILE, BYTES]) == ["upload-2", "upload-1"]
        client.submit = None  # a call would fail
        assert publish([FILE]) == ["upload-1"]
