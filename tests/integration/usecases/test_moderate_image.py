"""The main way without Celery: a real database, the bundled model, and calls that come at the same time."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from support.pictures import drawing, encoded

from worker.domain.submission import InlineBytes, LocalFile, Submission
from worker.errors import UnknownPolicyError, UsageError
from worker.resources import folder
from worker.settings import Settings
from worker.store import decisions, schema, submissions
from worker.wiring import Service, open_database, open_service

PICTURE = encoded(drawing(), "PNG")


@pytest.fixture
def service(database_url, tmp_path):
    (tmp_path / "media").mkdir()
    settings = Settings.read(
        database_url=database_url, policies=folder("policies"), media_root=tmp_path / "media"
    )
    database = open_database(settings)
    schema.upgrade(database)
    database.dispose()
    with open_service(settings) as opened:
        yield opened


def recorded(service: Service, *ids: str) -> list[decisions.RecordedDecision]:
    with service.database.reading() as session:
        return decisions.of_submissions(session, ids)


def moderate(service, submission):
    return service.moderate_image(submission, service.moderate_image.policy_for(submission))


def test_decided_once_however_many_ask_at_once(service):
    submission = Submission("post-1", InlineBytes(PICTURE), reference="first post")
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda _: moderate(service, submission), range(8)))
    (decision,) = recorded(service, "post-1")
    assert sorted(ids, key=str) == sorted([decision.id] + [None] * 7, key=str)
    assert decision.reference == "first post"


def test_each_policy_decides_for_itself(service):
    moderate(service, Submission("post-2", InlineBytes(PICTURE)))
    moderate(service, Submission("post-2", InlineBytes(PICTURE), policy="default"))
    assert [decision.policy for decision in recorded(service, "post-2")] == ["stickers", "default"]


def test_giving_up_is_a_decision_with_the_reason(service):
    submission = Submission("post-3", LocalFile("cat.jpg"))
    live = service.moderate_image.policy_for(submission)
    service.moderate_image.give_up(submission, live, "the sky fell")
    (decision,) = recorded(service, "post-3")
    assert (decision.action, decision.reason) == ("review", "not judged, the sky fell")


def test_the_digest_of_what_cannot_be_decoded_is_kept(service):
    moderate(service, Submission("post-4", InlineBytes(b"a letter")))
    with service.database.reading() as session:
        kept = session.get(submissions.SubmissionRow, "post-4").sha256
    assert kept is not None


def test_an_unknown_policy_decides_nothing(service):
    submission = Submission("post-5", InlineBytes(PICTURE), policy="uploads")
    with pytest.raises(UnknownPolicyError) as error:
        moderate(service, submission)
    service.moderate_image.refuse(submission.id, error.value)
    assert recorded(service, "post-5") == []
    with service.database.reading() as session:
        assert dict(submissions.refused(session, limit=5)) == {"post-5": error.value.message}


def test_a_refusal_never_overwrites_a_decision(service):
    moderate(service, Submission("post-6", InlineBytes(PICTURE)))
    service.moderate_image.refuse("post-6", UsageError("too late"))
    with service.database.reading() as session:
        assert submissions.refused(session, limit=5) == []
