"""A platform uploads by HTTP to a real `moderate web`, a real worker judges: check before publish, once each."""

import os
import re
import secrets
import signal
import sys
from contextlib import contextmanager

import pytest
import requests
from moderation_demo import PICTURES
from support.deployment import deploy, wait_for
from support.web_api import Api, make_key

from worker.domain.accounts.reviewer import Reviewer, Role
from worker.stage.processes import running, wait_until
from worker.stage.redis_server import running_redis
from worker.stage.service_processes import running_web as serving_the_desk
from worker.usecases.accounts.manage_reviewers import ManageReviewers

KNIFE = (PICTURES / "kitchen-knife.jpg").read_bytes()
PIZZA = (PICTURES / "pizza.jpg").read_bytes()


@contextmanager
def running_web(deployment):
    """Run `moderate web` as a process of its own; yield its URL and the process."""
    log = deployment.folder / "web.log"
    command = [sys.executable, "-m", "worker", "web", "--port", "0"]
    listening = re.compile(r"listening on (http://\S+)")
    with running(command, log=log, environment=deployment.environment) as process:
        wait_until(
            lambda: bool(listening.search(log.read_text())),
            process=process,
            log=log,
            what="the web process",
            timeout_seconds=60,
        )
        url = listening.search(log.read_text())[1]
        wait_until(lambda: answers(url), process=process, log=log, what="the API", timeout_seconds=60)
        yield url, process


def answers(url):
    try:
        return requests.get(f"{url}/healthz", timeout=30).status_code == 200
    except requests.ConnectionError:
        return False


@pytest.mark.slow
def test_an_upload_is_decided_before_the_answer_and_only_once(tmp_path, redis_url):
    deployment = deploy(tmp_path, redis_url)
    with deployment.worker(), running_web(deployment) as (url, process):
        api = Api(url, make_key(deployment.database))

        def upload(picture):
            return api.post(
                "/v1/submissions",
                files={"picture": ("upload.jpg", picture)},
                data={"id": "upload-7", "reference": "post-42"},
                headers={"Prefer": "wait=20"},
            )

        first = upload(KNIFE)
        assert (first.status_code, first.json()["state"]) == (200, "decided")
        assert first.headers["Preference-Applied"] == "wait=20"
        decision = first.json()["decision"]
        assert decision["action"] in {"review", "block"}
        assert "weapons" in decision["labels"]
        assert decision["scores"]
        again = upload(KNIFE)
        assert (again.status_code, again.json()["decision"]) == (200, decision)
        assert upload(PIZZA).status_code == 409
        (listed,) = api.get("/v1/decisions", params={"reference": "post-42"}).json()["decisions"]
        assert {**listed, **decision} == listed
        assert (listed["policy_action"], listed["decided_by"]) == (decision["action"], "policy")
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(30) == 0
    assert "Traceback" not in (tmp_path / "web.log").read_text()
    deployment.database.dispose()


@pytest.mark.slow
def test_what_is_accepted_while_the_broker_is_away_is_decided_when_it_is_back(tmp_path):
    redis_folder = tmp_path / "redis"
    redis_folder.mkdir()
    with running_redis(redis_folder) as broker_url:
        deployment = deploy(tmp_path, broker_url)
        port = int(broker_url.rpartition(":")[2].partition("/")[0])
    with running_web(deployment) as (url, _):
        api = Api(url, make_key(deployment.database))
        answer = api.post("/v1/submissions", files={"picture": KNIFE}, headers={"Prefer": "wait=1"})
        assert (answer.status_code, answer.json()["state"]) == (202, "accepted")
        with running_redis(redis_folder, port=port), deployment.worker():
            wait_for(
                lambda: api.get(answer.headers["Location"]).json()["state"] == "decided", what="the decision"
            )
    deployment.database.dispose()


def test_it_says_what_is_missing(moderate):
    result = moderate("web")
    assert result.exit_code == 3
    assert "moderate db upgrade" in result.err
    moderate("db", "upgrade")
    result = moderate("web", "--host", "192.0.2.1")
    assert result.exit_code == 2
    assert "cannot listen on 192.0.2.1:8000" in result.err


def test_keys_are_made_shown_once_and_revoked(moderate):
    moderate("db", "upgrade")
    made = moderate("api-key", "create", "upload-service", "--scope", "submit")
    assert made.exit_code == 0
    token = made.out.strip()
    key_id = token.split("_")[1]
    listed = moderate("api-key", "list").out
    assert key_id in listed
    assert "upload-service" in listed
    assert token.split("_", 2)[2] not in listed
    assert moderate("api-key", "revoke", key_id).exit_code == 0
    assert moderate("api-key", "list").out != listed
    unknown = moderate("api-key", "revoke", "none")
    assert (unknown.exit_code, "moderate api-key list" in unknown.err) == (2, True)
    both = moderate("api-key", "create", "desk", "--scope", "read", "--scope", "reviews,appeals")
    assert both.exit_code == 0
    assert "appeals,read,reviews" in moderate("api-key", "list").out
    assert "'admin' is not a scope" in moderate("api-key", "create", "x", "--scope", "admin,read").err


@pytest.mark.slow
def test_the_desk_lets_a_lead_in_and_logs_no_password(tmp_path):
    deployment = deploy(tmp_path, "redis://127.0.0.1:1/0")
    password = secrets.token_urlsafe(12)
    ManageReviewers(deployment.database).add(Reviewer("lea", Role.LEAD), password)
    with serving_the_desk(deployment.settings, tmp_path / "web.log") as url, requests.Session() as browser:
        token = re.search(r'name="form_token" value="(\w+)"', browser.get(f"{url}login", timeout=60).text)[1]
        form = {"form_token": token, "name": "lea", "password": password}
        answer = browser.post(f"{url}login", data=form, timeout=60)
        assert (answer.status_code, "Start reviewing" in answer.text) == (200, True)
    said = (tmp_path / "web.log").read_text()
    assert password not in said
    assert "it has no accounts yet" not in said
    deployment.database.dispose()


@pytest.mark.slow
def test_a_desk_that_nobody_can_enter_says_what_to_do(tmp_path):
    deployment = deploy(tmp_path, "redis://127.0.0.1:1/0", reviewer_header="X-Forwarded-User")
    with serving_the_desk(deployment.settings, tmp_path / "web.log") as url:
        wait_for(lambda: requests.get(url, timeout=60).status_code == 401, what="the desk")
    said = (tmp_path / "web.log").read_text()
    assert "it has no accounts yet: moderate reviewer add NAME --role admin" in said
    assert "MODERATION_TRUSTED_PROXIES, which is empty" in said
    deployment.database.dispose()
