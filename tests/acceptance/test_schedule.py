"""`moderate schedule` does what is repeated beside the work, where the workers do not."""

import sys

import pytest
from moderation_client import LocalFile, Submission
from moderation_client.messages import source_record, to_message
from sqlalchemy import update
from support.deployment import deploy, wait_for

from worker.stage.processes import running
from worker.store.engine.clock import moment
from worker.store.engine.tables import SubmissionRow
from worker.store.submissions import accepting


@pytest.fixture
def deployment(tmp_path, redis_url):
    made = deploy(tmp_path, redis_url)
    yield made
    made.database.dispose()


def accept(deployment, what):
    with deployment.database.transaction() as session:
        source = to_message(what)["source"]
        assert accepting.accept(session, what, source_record(what.source), source)
        session.execute(update(SubmissionRow).values(publish_at=moment(), published_at=None))


def test_it_publishes_what_is_due_until_it_is_told_to_stop(deployment):
    accept(deployment, Submission("upload-1", LocalFile("cat.jpg")))
    log = deployment.folder / "schedule.log"
    command = [sys.executable, "-m", "worker", "schedule"]
    with running(command, log=log, environment=deployment.environment) as process:
        wait_for(lambda: deployment.unfinished() == {"upload-1"}, what="the message")
        process.terminate()
        assert process.wait(30) == 0
    said = log.read_text()
    assert f"queue {deployment.settings.queue}" in said
    assert "1 submissions published again" in said
    assert "Traceback" not in said


def test_it_says_what_is_missing(moderate):
    result = moderate("schedule")
    assert result.exit_code == 3
    assert "moderate db upgrade" in result.err
