"""The main way without Celery: a real database, the bundled model, and calls that come at the same time."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from moderation_client.callback import WebhookCallback
from moderation_client.submission import InlineBytes, LocalFile, Submission
from sqlalchemy import select
from support.pictures import drawing, encoded
from support.tables import make_tables

from worker.errors import InvalidSubmissionError, UnknownPolicyError, UsageError
from worker.resources import folder
from worker.settings import Settings
from worker.store.decisions import decisions
from worker.store.engine.clock import database_now
from worker.store.engine.tables import OutboxRow, ReviewRow, SubmissionRow
from worker.store.operations import label_activity
from worker.store.submissions import submissions
from worker.usecases.moderation.record_decisions import RecordDecisions
from worker.usecases.submissions.refuse_submission import RefuseSubmission
from worker.wiring.components import open_database
from worker.wiring.worker_service import Service, open_service

PICTURE = encoded(drawing(), "PNG")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def url(request, tmp_path_factory):
    """Yield the URL of a database that all tests of this file share, once of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path_factory.mktemp('database') / 'moderation.db'}"
        return
    with request.getfixturevalue("postgres_server").fresh_database() as fresh:
        yield fresh


@pytest.fixture(scope="module")
def service(url, tmp_path_factory):
    settings = Settings.read(
        database_url=url, policies=folder("policies"), media_root=tmp_path_factory.mktemp("media")
    )
    database = open_database(settings)
    make_tables(database)
    database.dispose()
    with open_service(settings) as opened:
        yield opened


def recorded(service: Service, *ids: str) -> list[decisions.RecordedDecision]:
    with service.database.reading() as session:
        return decisions.of_submissions(session, ids)


def test_decided_once_however_many_ask_at_once(service):
    submission = Submission("post-1", InlineBytes(PICTURE), reference="first post")
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda _: service.moderate_image(submission), range(8)))
    (decision,) = recorded(service, "post-1")
    assert sorted(ids, key=str) == sorted([decision.id] + [None] * 7, key=str)
    assert decision.reference == "first post"


def test_a_submission_is_decided_by_the_policy_it_names(service):
    service.moderate_image(Submission("post-2", InlineBytes(PICTURE), policy="default"))
    assert [decision.policy for decision in recorded(service, "post-2")] == ["default"]


def test_quarantine_is_a_review_with_the_reason_and_is_shown_as_such(service, url, moderate):
    service.moderate_image.quarantine(Submission("post-7", LocalFile("cat.jpg"), reference="cat"), 3)
    (decision,) = recorded(service, "post-7")
    reason = "not judged, it is in quarantine: 3 workers died while processing it"
    assert (decision.action, decision.reason, decision.scores) == ("review", reason, ())
    with service.database.reading() as session:
        kinds = select(ReviewRow.kind).where(ReviewRow.decision_id == decision.id)
        assert session.scalars(kinds).all() == ["quarantine"]
    assert reason in moderate("decisions", "--action", "review", database_url=url).out


def test_whoever_wants_to_hear_of_a_decision_is_noted_with_it(service):
    mine, theirs = WebhookCallback("https://a.example/told"), WebhookCallback("https://b.example/told")
    named = Submission("post-8", InlineBytes(PICTURE), callback=mine)
    service.moderate_image(Submission("post-9", InlineBytes(PICTURE)))
    record = RecordDecisions(service.database, service.moderate_image.judge_picture, default_callback=theirs)
    moderate_image = replace(service.moderate_image, record=record)
    for _ in range(2):
        moderate_image(named)
        moderate_image(Submission("post-10", InlineBytes(PICTURE)))
        moderate_image.quarantine(Submission("post-11", InlineBytes(PICTURE)), 3)
        moderate_image.give_up(Submission("post-12", InlineBytes(PICTURE)), "the sky fell")
    with service.database.reading() as session:
        told = session.execute(select(OutboxRow.submission_id, OutboxRow.callback)).all()
    assert sorted((name, callback["url"]) for name, callback in told) == [
        ("post-10", theirs.url),
        ("post-11", theirs.url),
        ("post-12", theirs.url),
        ("post-8", mine.url),
    ]


def test_giving_up_is_a_decision_with_the_reason(service):
    service.moderate_image.give_up(Submission("post-3", LocalFile("cat.jpg")), "the sky fell")
    (decision,) = recorded(service, "post-3")
    assert (decision.action, decision.reason) == ("review", "not judged, the sky fell")


def test_the_digest_of_what_cannot_be_decoded_is_kept(service):
    service.moderate_image(Submission("post-4", InlineBytes(b"a letter")))
    with service.database.reading() as session:
        kept = session.get(SubmissionRow, "post-4").sha256
    assert kept is not None


def test_an_unknown_policy_decides_nothing(service):
    submission = Submission("post-5", InlineBytes(PICTURE), policy="uploads")
    with pytest.raises(UnknownPolicyError):
        service.moderate_image(submission)
    assert recorded(service, "post-5") == []


def test_a_refusal_is_kept_with_its_reason_and_is_one_event(service):
    mine, theirs = WebhookCallback("https://a.example/told"), WebhookCallback("https://b.example/told")
    refuse = RefuseSubmission(service.database, default_callback=theirs)
    named = Submission("post-13", InlineBytes(PICTURE), policy="uploads", callback=mine)
    for _ in range(2):
        refuse("post-13", UnknownPolicyError("no such policy"), named)
        refuse("post-14", InvalidSubmissionError("field 'source' is missing"))
    refuse("post-14", InvalidSubmissionError("unknown field 'colour'"))
    with service.database.reading() as session:
        refused = dict(submissions.refused(session, limit=5))
        events = session.scalars(select(OutboxRow).where(OutboxRow.kind == "submission.refused")).all()
    assert (refused["post-13"], refused["post-14"]) == ("no such policy", "unknown field 'colour'")
    assert [(one.submission_id, one.problem, one.callback["url"], one.decision_id) for one in events] == [
        ("post-13", "no such policy", mine.url, None),
        ("post-14", "field 'source' is missing", theirs.url, None),
        ("post-14", "unknown field 'colour'", theirs.url, None),
    ]


def test_a_refusal_never_overwrites_a_decision_and_is_no_event_then(service):
    service.moderate_image(Submission("post-6", InlineBytes(PICTURE)))
    service.refuse("post-6", UsageError("too late"))
    with service.database.reading() as session:
        assert "post-6" not in dict(submissions.refused(session, limit=5))


def test_a_version_that_did_not_claim_a_submission_does_not_decide_it(service):
    submission = Submission("post-15", InlineBytes(PICTURE))
    live = service.moderate_image.policy_of(submission)
    stricter = tuple(replace(label, review=0.01) for label in live.policy.labels)
    later = replace(live, policy=replace(live.policy, labels=stricter))
    assert service.moderate_image(submission, live) is not None
    assert service.moderate_image(submission, later) is None
    assert len(recorded(service, "post-15")) == 1


def test_each_recorded_decision_on_a_judged_picture_is_counted_by_label_once(service):
    def counted():
        service.moderate_image.count.write()
        with service.database.reading() as session:
            hours = label_activity.since(session, database_now(session) - timedelta(days=1))
        ours = [hour.activity for hour in hours if hour.policy == "default"]
        return sum(one.uploads for one in ours), sum(one.counts[0, 1:].sum() for one in ours)

    uploads, scores = counted()
    for _ in range(2):
        service.moderate_image(Submission("post-20", InlineBytes(PICTURE), policy="default"))
    service.moderate_image(Submission("post-21", InlineBytes(PICTURE), policy="default"))
    service.moderate_image(Submission("post-22", InlineBytes(b"no picture"), policy="default"))
    assert counted() == (uploads + 2, scores + 2)
