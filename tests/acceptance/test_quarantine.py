"""A picture that kills whole workers: after three of them it is in quarantine, and all others are decided."""

import sys
from pathlib import Path

import pytest
from moderation_client import LocalFile, Submission
from support.deadly_worker import HANGING, POISON
from support.deployment import deploy
from support.pictures import drawing, encoded

from worker.stage.processes import running

TESTS = Path(__file__).parents[1]


@pytest.fixture
def deployment(tmp_path, redis_url, postgres_url):
    made = deploy(tmp_path, redis_url, postgres_url, decoder_processes=1)
    yield made
    made.database.dispose()


@pytest.mark.slow
def test_a_picture_that_kills_workers_ends_in_quarantine_and_takes_nobody_along(deployment):
    uploads = []
    for n in range(40):
        picture = encoded(drawing(60 + n, 40), "PNG") + (POISON if n == 7 else b"")
        uploads.append(Submission(f"upload-{n}", LocalFile(deployment.save_picture(f"{n}.png", picture))))
    with deployment.client() as client:
        # One message, so that all are claimed together and none waits for Redis to deliver it again.
        ids = client.submit_many(uploads)
    log = deployment.folder / "worker.log"
    environment = deployment.environment | {"PYTHONPATH": f"{TESTS}:{TESTS.parent}"}
    with running([sys.executable, "-m", "support.deadly_worker", "worker"], log=log, environment=environment):
        found = {decision.submission_id: decision for decision in deployment.decided(ids)}
    killer = found.pop("upload-7")
    assert killer.action == "review"
    assert killer.reason == "not judged, it is in quarantine: 3 workers died while processing it"
    assert len(found) == 39
    assert all(decision.scores for decision in found.values())
    assert log.read_text().count("the worker died of signal 9") == 3


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_worker_that_hangs_leaves_and_the_next_one_does_its_work(tmp_path, redis_url, postgres_url):
    deployment = deploy(tmp_path, redis_url, postgres_url, decoder_processes=1, stuck_seconds=2)
    uploads = []
    for n in range(5):
        picture = encoded(drawing(60 + n, 40), "PNG") + (HANGING if n == 2 else b"")
        uploads.append(Submission(f"upload-{n}", LocalFile(deployment.save_picture(f"{n}.png", picture))))
    with deployment.client() as client:
        ids = client.submit_many(uploads)
    log = deployment.folder / "worker.log"
    environment = deployment.environment | {"PYTHONPATH": f"{TESTS}:{TESTS.parent}"}
    with running([sys.executable, "-m", "support.deadly_worker", "worker"], log=log, environment=environment):
        found = {decision.submission_id: decision for decision in deployment.decided(ids)}
    deployment.database.dispose()
    hanging = found.pop("upload-2")
    assert hanging.reason == "not judged, it is in quarantine: 3 workers died while processing it"
    assert all(decision.scores for decision in found.values())
    said = log.read_text()
    assert said.count("this worker exits, since it has been stuck for") == 3
    assert "submission upload-2 has been in flight for" in said
