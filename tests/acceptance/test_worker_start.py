"""A worker that cannot work says why in one clear line and leaves, before it takes a job."""

import socket
import subprocess
import sys

import pytest
from moderation_client import LocalFile, Submission
from sqlalchemy import func, select, text
from support.deployment import deploy, wait_for
from support.pictures import drawing, encoded

from worker.store.engine.tables import SubmissionRow
from worker.tasks import app
from worker.wiring.sizing import Sizing


@pytest.fixture
def deployment(tmp_path, redis_url):
    made = deploy(tmp_path, redis_url)
    yield made
    made.database.dispose()


def run_worker(deployment, **settings):
    """Run `moderate worker`, which must leave by itself; return its exit code and what it said."""
    environment = deployment.environment | {
        f"MODERATION_{name.upper()}": str(v) for name, v in settings.items()
    }
    command = [sys.executable, "-m", "worker", "worker"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert "Traceback" not in run.stderr
    return run.returncode, run.stderr


@pytest.fixture
def run_here(moderate, deployment, monkeypatch):
    """Run `moderate worker` in this process, which has loaded PyTorch: what fails only after the model."""

    def run(**settings):
        for name, value in deployment.environment.items():
            monkeypatch.setenv(name, value)
        result = moderate("worker", **settings)
        return result.exit_code, result.err

    yield run
    vars(app).pop("settings")


def test_without_redis(deployment):
    code, said = run_worker(deployment, broker_url="redis://127.0.0.1:1/0")
    assert code == 3
    assert "redis://127.0.0.1:1/0 does not answer" in said


def test_without_tables(deployment, tmp_path):
    code, said = run_worker(deployment, database_url=f"sqlite:///{tmp_path}/none.db")
    assert code == 3
    assert "moderate db upgrade" in said


def test_without_a_database(deployment):
    code, said = run_worker(deployment, database_url="postgresql://moderator:secret@127.0.0.1:1/uploads")
    assert code == 3
    assert "127.0.0.1" in said
    assert "secret" not in said


def test_with_tables_of_another_version(deployment):
    with deployment.database.transaction() as session:
        session.execute(text("DROP TABLE reviews"))
    code, said = run_worker(deployment)
    assert code == 3
    assert "reviews" in said


def test_with_a_broken_policy(deployment, run_here):
    deployment.policy_file.write_text("name: stickers\nlabels: {weapons: {promts: [a gun]}}\n")
    code, said = run_here()
    assert code == 1
    assert 'unknown key "promts"' in said
    assert "background" in said


def test_with_a_default_policy_that_is_not_there(run_here):
    code, said = run_here(policy="uploads")
    assert code == 1
    assert "uploads" in said


def test_with_a_default_policy_that_is_a_shadow(deployment, run_here):
    with deployment.policy_file.open("a", encoding="utf-8") as file:
        file.write("\nshadow: true\n")
    code, said = run_here()
    assert code == 2
    assert "stickers.yaml: `shadow: true`, but the policy decides" in said


def test_with_a_metrics_port_that_is_taken(deployment):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, said = run_worker(deployment, metrics_port=port)
    assert code == 2
    assert f"127.0.0.1:{port}" in said
    assert "MODERATION_METRICS_PORT" in said


def test_with_a_model_that_is_not_there(run_here, tmp_path):
    code, said = run_here(model=tmp_path / "nowhere")
    assert code == 3
    assert "nowhere" in said


def plain_celery(*options):
    return [sys.executable, "-m", "celery", "-A", "worker.tasks", "worker", *options]


def test_plain_celery_starts_the_same_worker_and_sigterm_finishes_what_is_in_hand(deployment):
    log = deployment.folder / "celery.log"
    letter = LocalFile(deployment.save_picture("letter.jpg", b"Dear moderators"))
    pictures = [
        Submission(f"upload-{n}", LocalFile(deployment.save_picture(f"{n}.png", picture)))
        for n, picture in enumerate(encoded(drawing(60 + n, 40), "PNG") for n in range(64))
    ]
    # Celery takes "prefork" for no choice, and uses the pool of our settings.
    command = plain_celery("-P", "prefork", "--loglevel=info")
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=deployment.environment, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            with deployment.client() as client:
                (decision,) = deployment.decided([client.submit(letter)])
                assert decision.action == "review"
                ids = client.submit_many(pictures)
            wait_for(lambda: in_hand(deployment), what="the pictures to be in hand")
        finally:
            process.terminate()
    assert wait_for(lambda: process.poll() is not None, what="the worker to leave on SIGTERM")
    assert process.returncode == 0
    assert f"concurrency: {Sizing.of(deployment.settings).concurrency} (thread)" in log.read_text()
    assert deployment.unfinished() == set()
    assert len(deployment.decided(ids)) == 64
    assert in_hand(deployment) == 0


def in_hand(deployment):
    query = select(func.count(SubmissionRow.id)).where(SubmissionRow.claimed_by.is_not(None))
    with deployment.database.reading() as session:
        return session.scalar(query)


@pytest.mark.exhaustive
def test_a_pool_that_cannot_share_the_model_is_refused(deployment):
    command = plain_celery("-P", "solo")
    run = subprocess.run(
        command, env=deployment.environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert run.returncode == 2
    assert "error: the pool 'solo' cannot share one model among its jobs" in run.stderr
    assert "-P threads" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.exhaustive
def test_plain_celery_says_in_a_line_why_it_cannot_start(deployment, tmp_path):
    command = plain_celery("-P", "threads")
    environment = deployment.environment | {"MODERATION_DATABASE_URL": f"sqlite:///{tmp_path}/none.db"}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert run.returncode == 3
    assert "moderate db upgrade" in run.stderr
    assert "Traceback" not in run.stderr
