"""Two workers, one of them killed amid its work: a decision on each picture, none twice."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from subprocess import Popen

import numpy as np
import pytest
from moderation_client import LocalFile, Submission
from PIL import Image
from sqlalchemy import ColumnElement, func, select
from support.deployment import Deployment, deploy, wait_for

from worker.observability.metrics import WebMetrics
from worker.store.engine.tables import DecisionRow, LabelScoreRow, ReviewRow, SubmissionRow
from worker.store.submissions import due_times
from worker.usecases.submissions.accept_submissions import AcceptSubmissions
from worker.usecases.submissions.publish_submissions import PublishSubmissions

#: Pictures, and how many of them share a message.
WAYS = {"one by one": (200, 1), "many at once": (500, 64)}


@pytest.fixture
def deployment(database_url, tmp_path, redis_url):
    made = deploy(tmp_path, redis_url, database_url)
    yield made
    made.database.dispose()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("database_url", "way"),
    [
        pytest.param("sqlite", "one by one", marks=pytest.mark.exhaustive, id="sqlite, one by one"),
        pytest.param("postgresql", "many at once", id="postgresql, many at once"),
    ],
    indirect=["database_url"],
)
def test_a_killed_worker_loses_nothing_and_nothing_is_decided_twice(deployment, way, monkeypatch):
    # What Redis gave the killed worker, but the worker not yet the ledger, comes again after this.
    monkeypatch.setattr(due_times, "PATIENCE", timedelta(seconds=20))
    pictures, size = WAYS[way]
    uploads = draw_uploads(deployment, pictures)
    with (
        deployment.worker("first"),
        deployment.worker("second") as victim,
        ThreadPoolExecutor(1) as producer,
    ):
        accepted = producer.submit(accept, deployment, uploads, size)
        wait_for(lambda: count(deployment, DecisionRow.id) > pictures // 10, what="the workers to be busy")
        kill_amid_work(deployment, victim)
        accepted.result()
        wait_for(lambda: count(deployment, DecisionRow.id) >= pictures, what="all decisions")
    assert count(deployment, DecisionRow.submission_id.distinct()) == pictures
    assert count(deployment, DecisionRow.id) == pictures
    assert count(deployment, SubmissionRow.id) == pictures
    assert count(deployment, LabelScoreRow.decision_id) == pictures * 6
    reviews = count(deployment, DecisionRow.id, DecisionRow.action == "review")
    assert count(deployment, ReviewRow.decision_id) == reviews
    is_settled = (SubmissionRow.state == "decided") & SubmissionRow.claimed_by.is_(None)
    assert count(deployment, SubmissionRow.id, is_settled & SubmissionRow.publish_at.is_(None)) == pictures
    assert count(deployment, SubmissionRow.id, SubmissionRow.crashes > 0) > 0


def kill_amid_work(deployment: Deployment, victim: Popen[bytes]) -> None:
    """Kill -9 the worker at a moment when it has submissions in hand; whatever Redis knows of its messages."""
    is_its = SubmissionRow.claimed_by.contains(f":{victim.pid}:")

    def killed() -> bool:
        os.kill(victim.pid, signal.SIGSTOP)
        if count(deployment, SubmissionRow.id, is_its):
            os.kill(victim.pid, signal.SIGKILL)
            return True
        os.kill(victim.pid, signal.SIGCONT)
        return False

    wait_for(killed, what="a moment at which it has something in hand")


def draw_uploads(deployment: Deployment, pictures: int) -> list[Submission]:
    """Draw so many pictures; no two are alike."""
    rng = np.random.default_rng(0)
    uploads = []
    for n in range(pictures):
        small = Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8))
        name = f"{n:03}.png"
        small.resize((120, 120), Image.Resampling.NEAREST).save(deployment.settings.media_root / name)
        uploads.append(Submission(name, LocalFile(name)))
    return uploads


def accept(deployment: Deployment, uploads: list[Submission], size: int) -> None:
    """Accept the uploads as the HTTP API does: each is a committed row before the queue hears of it."""
    with deployment.client() as client:
        take = AcceptSubmissions(
            deployment.database, deployment.settings.policies, PublishSubmissions(client), WebMetrics()
        )
        for start in range(0, len(uploads), size):
            take(uploads[start : start + size])


def count(deployment: Deployment, column: object, *where: ColumnElement[bool]) -> int:
    with deployment.database.reading() as session:
        return session.scalar(select(func.count(column)).where(*where)) or 0
