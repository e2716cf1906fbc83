"""What operators' machines see of a real worker and a real web process: probes, metrics and JSON logs."""

import json
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from moderation_client import InlineBytes, LocalFile
from moderation_demo import PICTURES
from support.deployment import deploy, wait_for

from worker.store.upgrade import schema

PIZZA = (PICTURES / "pizza.jpg").read_bytes()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask(port, path):
    """Return the status and the text of an answer; 0 where nobody listens yet."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


@pytest.fixture(scope="module")
def deployment(tmp_path_factory, redis_url):
    made = deploy(
        tmp_path_factory.mktemp("seeing"),
        redis_url,
        metrics_port=free_port(),
        log_format="json",
        concurrency=4,
    )
    yield made
    made.database.dispose()


@pytest.fixture(scope="module")
def worker(deployment):
    """Run plain Celery, which has to log as `moderate worker` does; yield its log and its port."""
    command = [sys.executable, "-m", "celery", "-A", "worker.tasks", "worker", "-P", "threads", "-l", "info"]
    log, port = deployment.folder / "worker.log", deployment.settings.metrics_port
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=deployment.environment, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        wait_for(lambda: ask(port, "/healthz")[0], what=f"the probes, see {log}")
        # Before the model is there, the process lives and is not ready.
        early = ask(port, "/readyz")
        wait_for(lambda: " ready." in log.read_text(), what=f"the worker, see {log}")
        yield log, port, early
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def lines(log):
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


def test_a_worker_that_loads_its_model_says_so(worker):
    _, _, (status, text) = worker
    if status == 200:
        pytest.skip("the model was loaded before the first question")
    assert status == 503
    assert json.loads(text)["model"] == {"state": "loading"}


def test_a_worker_that_is_ready_names_all_it_needs(worker, deployment):
    status, text = ask(worker[1], "/readyz")
    said = json.loads(text)
    assert status == 200
    assert said["ready"]
    assert said["model"]["name"] == "demo"
    assert said["database"]["revision"] == schema.head()
    assert said["broker"]["where"] == deployment.settings.broker_url
    assert [one["policy"] for one in said["policies"]["in_force"]] == ["stickers"]
    assert re.fullmatch("[0-9a-f]{12}", said["policies"]["in_force"][0]["version"])


@pytest.mark.exhaustive
def test_what_a_worker_did_is_in_its_metrics_and_each_line_about_it_names_it(worker, deployment):
    log, port, _ = worker
    with deployment.client() as client:
        # Not an empty media root, which would be one whose disk is not mounted.
        deployment.save_picture("pizza.jpg", PIZZA)
        ids = [client.submit(InlineBytes(PIZZA)), client.submit(LocalFile("missing.jpg"))]
        client.submit(LocalFile("letter.jpg"), id="unknown", policy="uploads")
    deployment.decided(ids)
    deployment.refused(1)
    wait_for(lambda: not deployment.unfinished(), what="every message to be acknowledged")
    status, text = ask(port, "/metrics")
    assert status == 200
    told = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    version = json.loads(ask(port, "/readyz")[1])["policies"]["in_force"][0]["version"]
    key = f'moderation_decisions_total{{action="%s",policy="stickers",version="{version}"}}'
    assert (told[key % "allow"], told[key % "review"]) == ("1.0", "1.0")
    for stage in ("claim", "fetch", "decode", "encode", "score", "record"):
        assert float(told[f'moderation_stage_seconds_count{{stage="{stage}"}}']) >= 1
    assert float(told["moderation_batch_pictures_count"]) >= 1
    assert (told["moderation_database_up"], told["moderation_broker_up"]) == ("1.0", "1.0")
    assert told["moderation_jobs_in_hand"] == "0.0"
    assert "moderation_undecided_oldest_seconds" in told
    status, text = ask(port, "/healthz")
    assert (status, json.loads(text)["jobs_ended"]) == (200, 2)
    about = [(line["submission"], line["message"]) for line in lines(log) if "submission" in line]
    assert {submission for submission, _ in about} == {*ids, "unknown"}
    assert any("'uploads'" in message or '"uploads"' in message for _, message in about)


def test_every_line_of_plain_celery_is_a_json_object(worker):
    found = lines(worker[0])
    loggers = {line["logger"] for line in found}
    assert any(name.startswith("celery.") for name in loggers)
    assert any(name.startswith("worker.") for name in loggers)
    assert {"time", "level", "logger", "message", "process", "thread"} <= set(found[0])


def test_a_worker_that_cannot_start_says_so_in_json_too(deployment, tmp_path):
    environment = deployment.environment | {"MODERATION_DATABASE_URL": f"sqlite:///{tmp_path}/none.db"}
    command = [sys.executable, "-m", "worker", "worker"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert run.returncode == 3
    told = [json.loads(line) for line in run.stderr.splitlines()]
    assert told[-1]["level"] == "CRITICAL"
    assert "moderate db upgrade" in told[-1]["message"]


@pytest.mark.exhaustive
def test_a_web_process_logs_json_and_tells_what_waits(deployment):
    port, log = free_port(), deployment.folder / "web.log"
    command = [sys.executable, "-m", "worker", "web", "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=deployment.environment, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        wait_for(lambda: ask(port, "/healthz")[0] == 200, what=f"the web process, see {log}")
        status, text = ask(port, "/readyz")
        assert (status, json.loads(text)["policies"]) == (200, "ready")
        assert "moderation_database_up 1.0" in ask(port, "/metrics")[1]
        kept = deployment.settings.policies.rename(deployment.folder / "kept")
        try:
            assert ask(port, "/readyz")[0] == 503
        finally:
            kept.rename(deployment.settings.policies)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    loggers = {line["logger"] for line in lines(log)}
    assert {"uvicorn.error", "worker.web.http.request_log", "worker.cli"} <= loggers
