"""A callback over HTTP is kept whole where the deployment tells such, and refused at once where it does not."""

import json

import pytest
from moderation_client.webhooks import new_secret
from sqlalchemy import select
from support.deployment import deploy
from support.web_api import Api, make_key, serving_api

from worker.errors import SettingsError
from worker.store.engine.tables import SubmissionRow
from worker.web.api.service import open_web_service

FILE = {"kind": "file", "path": "cat.jpg"}
URL = {"url": "https://platform.example/moderated?token=5ec7e7"}
TASK = {"task": "posts.moderated", "queue": "posts"}
TELLS = {"webhook_hosts": "platform.example", "callback_tasks": "posts.*"}


@pytest.fixture
def deployment(tmp_path, redis_url, database_url):
    made = deploy(tmp_path, redis_url, database_url, webhook_secrets=new_secret(), **TELLS)
    yield made
    made.database.dispose()


@pytest.fixture
def api(deployment):
    with serving_api(deployment.settings) as (url, _):
        yield Api(url, make_key(deployment.database))


def callbacks(deployment):
    with deployment.database.reading() as session:
        return dict(session.execute(select(SubmissionRow.id, SubmissionRow.callback)).all())


def test_a_callback_is_kept_whole_and_shown_to_nobody(deployment, api):
    answers = [
        api.post("/v1/submissions", json={"id": "json", "source": FILE, "callback": URL}),
        api.post("/v1/submissions", json={"id": "celery", "source": FILE, "callback": TASK}),
        api.post("/v1/submissions", json={"id": "none", "source": FILE, "callback": None}),
        api.post(
            "/v1/submissions",
            files={"picture": b"x"},
            data={"id": "form", "callback": json.dumps(URL)},
        ),
    ]
    assert [answer.status_code for answer in answers] == [202] * 4
    assert callbacks(deployment) == {"json": URL, "celery": TASK, "none": None, "form": URL}
    shown = "".join(
        answer.text + api.get(f"/v1/submissions/{answer.json()['id']}").text for answer in answers
    )
    assert "5ec7e7" not in shown


def test_the_same_submission_with_another_callback_is_the_same_and_the_first_counts(deployment, api):
    first = {"id": "upload-7", "source": FILE, "callback": URL}
    assert api.post("/v1/submissions", json=first).status_code == 202
    assert api.post("/v1/submissions", json=first | {"callback": TASK}).status_code == 200
    assert callbacks(deployment) == {"upload-7": URL}


REFUSED = [
    ({"url": "https://evil.example.net/?token=5ec7e7"}, "the host evil.example.net is not allowed"),
    ({"url": "https://platform.example:8443/"}, "port 8443"),
    ({"url": "ftp://platform.example/"}, "begins with https://"),
    ({"task": "files.moderated", "queue": "files"}, "the task files.moderated is not allowed"),
    ({"task": "moderation.check", "queue": "x"}, "belongs to this service"),
    ({"task": "posts.moderated", "queue": "unacked_mutex"}, "a key that Celery itself uses"),
    ({"task": "posts.moderated", "queue": "files"}, "the queue files is not allowed"),
    ({"task": "posts.moderated"}, "an object with 'url', or one with 'task' and 'queue'"),
    ("https://platform.example/", "must be null, an object"),
]


def test_what_would_not_be_told_is_refused_at_once_and_stops_no_other(deployment, api):
    for callback, words in REFUSED:
        answer = api.post("/v1/submissions", json={"source": FILE, "callback": callback})
        assert (answer.status_code, words in answer.json()["detail"]) == (422, True), answer.text
        assert "5ec7e7" not in answer.text
    broken = api.post("/v1/submissions", files={"picture": b"x"}, data={"callback": "{"})
    assert (broken.status_code, "'callback' is not JSON" in broken.text) == (422, True)
    items = [{"id": f"many-{n}", "source": FILE, "callback": one} for n, (one, _) in enumerate(REFUSED)]
    items.insert(3, {"id": "good", "source": FILE, "callback": URL})
    found = api.post("/v1/submissions/batch", json={"submissions": items}).json()["items"]
    assert [one["status"] for one in found] == [422] * 3 + [202] + [422] * 6
    assert callbacks(deployment) == {"good": URL}


def test_where_nobody_is_told_every_callback_is_refused(tmp_path, redis_url, sqlite_url):
    made = deploy(tmp_path, redis_url, sqlite_url)
    with serving_api(made.settings) as (url, _):
        api = Api(url, make_key(made.database))
        for callback, setting in ((URL, "MODERATION_WEBHOOK_HOSTS"), (TASK, "MODERATION_CALLBACK_TASKS")):
            answer = api.post("/v1/submissions", json={"source": FILE, "callback": callback})
            assert (answer.status_code, setting in answer.json()["hint"]) == (422, True)
    made.database.dispose()


def test_webhooks_without_a_secret_do_not_start(tmp_path, redis_url, sqlite_url):
    made = deploy(tmp_path, redis_url, sqlite_url, webhook_hosts="any-public")
    with (
        pytest.raises(SettingsError, match="no secret to sign them") as error,
        open_web_service(made.settings),
    ):
        pass
    assert "moderate outbox new-secret" in error.value.hint
    made.database.dispose()
