"""Every process that was asked for JSON writes nothing else: while it starts, works, warns, fails and stops."""

import json
import os
import subprocess
import sys

import pytest
from moderation_client import LocalFile
from support.deployment import deploy
from support.pictures import drawing, encoded

from worker.stage.processes import running, wait_until


@pytest.fixture
def deployment(tmp_path, redis_url):
    made = deploy(tmp_path, redis_url, log_format="json", decoder_processes=1)
    yield made
    made.database.dispose()


def lines(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


CELERY = [sys.executable, "-m", "celery", "-A", "worker.tasks", "worker", "-P", "threads"]
MODERATE = [sys.executable, "-m", "worker"]
PROCESSES = {
    "moderate worker": ([*MODERATE, "worker"], "ready."),
    "celery worker": ([*CELERY, "-l", "info"], "ready."),
    "moderate schedule": ([*MODERATE, "schedule"], "the schedule runs"),
    "moderate web": ([*MODERATE, "web", "--port", "0"], "Application startup complete"),
}


#: They log by the same code as the others.
ALIKE = {"moderate worker", "moderate schedule"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.exhaustive if name in ALIKE else ()) for name in PROCESSES],
)
def test_a_process_logs_json_from_its_start_to_its_end(name, deployment):
    command, ready = PROCESSES[name]
    log = deployment.folder / "process.log"
    with running(command, log=log, environment=deployment.environment) as process:
        wait_until(lambda: ready in log.read_text(), process=process, log=log, what=name, timeout_seconds=90)
        if "worker" in name:
            deployment.save_picture("a.png", encoded(drawing(60, 40), "PNG"))
            deployment.save_picture("b.png", b"\x89PNG\r\n\x1a\nbroken")
            with deployment.client() as client:
                ids = [client.submit(LocalFile(file)) for file in ("a.png", "b.png")]
            deployment.decided(ids)
    said = lines(log)
    assert {"time", "level", "logger", "message", "process", "thread"} <= set(said[-1])
    if "worker" in name:
        assert {line["submission"] for line in said if "action" in line} == set(ids)
        assert [line["message"] for line in said if "shutdown" in line["message"]]


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        ([*MODERATE, "worker"], {"MODERATION_BATCH_SIZE": "many"}),
        ([*CELERY], {"MODERATION_BATCH_SIZE": "many"}),
        ([*CELERY], {"MODERATION_MODEL": "/nowhere"}),
        ([*MODERATE, "schedule"], {"MODERATION_DATABASE_URL": "postgresql://127.0.0.1:1/none"}),
        ([*MODERATE, "web"], {"MODERATION_DATABASE_URL": "postgresql://127.0.0.1:1/none"}),
        ([*MODERATE, "web", "--host", "no.such.host.invalid"], {}),
    ],
)
@pytest.mark.exhaustive
def test_a_process_that_cannot_start_says_so_in_json(arguments, settings, deployment):
    environment = os.environ | deployment.environment | settings
    ran = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode in {2, 3}
    assert ran.stdout == ""
    said = [json.loads(line) for line in ran.stderr.splitlines()]
    assert said[-1]["level"] == "CRITICAL"
