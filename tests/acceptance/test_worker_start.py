"""A worker that cannot work says why in one clear line and leaves, before it takes a job."""

import socket
import subprocess
import sys

import pytest
from sqlalchemy import text
from support.deployment import deploy, wait_for

from worker.client import LocalFile


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


def test_with_a_broken_policy(deployment):
    deployment.policy_file.write_text("name: stickers\nlabels: {weapons: {promts: [a gun]}}\n")
    code, said = run_worker(deployment)
    assert code == 1
    assert 'unknown key "promts"' in said
    assert "background" in said


def test_with_a_default_policy_that_is_not_there(deployment):
    code, said = run_worker(deployment, policy="uploads")
    assert code == 1
    assert "uploads" in said


def test_with_a_default_policy_that_is_a_shadow(deployment):
    with deployment.policy_file.open("a", encoding="utf-8") as file:
        file.write("\nshadow: true\n")
    code, said = run_worker(deployment)
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


def test_with_a_model_that_is_not_there(deployment, tmp_path):
    code, said = run_worker(deployment, model=tmp_path / "nowhere")
    assert code == 3
    assert "nowhere" in said


def test_plain_celery_starts_the_same_worker(deployment):
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "worker.tasks",
        "worker",
        "-P",
        "threads",
        "--loglevel=info",
    ]
    log = deployment.folder / "celery.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=deployment.environment, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            with deployment.client() as client:
                name = deployment.save_picture("letter.jpg", b"Dear moderators")
                (decision,) = deployment.decided([client.submit(LocalFile(name))])
            assert decision.action == "review"
        finally:
            process.terminate()
    assert wait_for(lambda: process.poll() is not None, what="the worker to leave on SIGTERM")
    assert process.returncode == 0


def test_plain_celery_says_in_a_line_why_it_cannot_start(deployment, tmp_path):
    command = [sys.executable, "-m", "celery", "-A", "worker.tasks", "worker", "-P", "threads"]
    environment = deployment.environment | {"MODERATION_DATABASE_URL": f"sqlite:///{tmp_path}/none.db"}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert run.returncode != 0
    assert "moderate db upgrade" in run.stderr
    assert "Traceback" not in run.stderr
