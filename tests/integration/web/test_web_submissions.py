"""Pictures handed over by HTTP: each accepted once, as a committed row, whatever comes with it."""

import base64
import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
import redis
from moderation_client.submission import ImageUrl, LocalFile, Submission
from moderation_demo import PICTURES
from prometheus_client import generate_latest
from sqlalchemy import select, text, update
from support.deployment import deploy
from support.web_api import Api, make_key, serving_api

from worker.domain.accounts.api_key import Scope
from worker.domain.policies.policy_state import PolicyState
from worker.images.sources.uploads import KeptPicture, Uploads
from worker.observability.logs import hide_queries
from worker.observability.metrics import Metrics
from worker.policy_files.parser import parse_policy
from worker.store.engine.column_types import utc_now
from worker.store.engine.tables import SubmissionRow
from worker.store.policies import policy_states, policy_versions
from worker.store.submissions import outcomes
from worker.usecases.operations.sweep_uploads import SweepUploads
from worker.usecases.submissions.publish_pending import PublishPending
from worker.usecases.submissions.publish_submissions import PublishSubmissions
from worker.usecases.submissions.republish_due import RepublishDue
from worker.wiring.components import limits_of

PIZZA = (PICTURES / "pizza.jpg").read_bytes()
DIGEST = hashlib.sha256(PIZZA).hexdigest()
URL = {"kind": "url", "url": "https://cdn.example.com/cat.jpg?signature=5ec7e7"}


@pytest.fixture
def deployment(tmp_path, redis_url, database_url):
    made = deploy(
        tmp_path, redis_url, database_url, max_picture_bytes=100_000, web_requests_per_minute=10_000
    )
    yield made
    made.database.dispose()


@pytest.fixture
def api(deployment):
    with serving_api(deployment.settings) as (url, _):
        yield Api(url, make_key(deployment.database))


def row(deployment, submission_id):
    with deployment.database.reading() as session:
        return session.scalars(select(SubmissionRow).where(SubmissionRow.id == submission_id)).one()


def files(deployment):
    return [path for path in (deployment.settings.media_root / "web").rglob("*") if path.is_file()]


def upload(api, picture=PIZZA, **fields):
    return api.post("/v1/submissions", files={"picture": ("cat.jpg", picture)}, data=fields)


def test_accepted_means_a_row_and_a_message(deployment, api):
    fields = {"id": "upload-7", "source": URL, "reference": "post-42", "context": {"author": 7}}
    answer = api.post("/v1/submissions", json=fields)
    assert answer.status_code == 202
    assert answer.headers["Location"] == "/v1/submissions/upload-7"
    assert answer.headers["Retry-After"] == "1"
    assert "5ec7e7" not in answer.text
    assert row(deployment, "upload-7").pending_source == URL
    assert deployment.unfinished() == {"upload-7"}
    seen = api.get(answer.headers["Location"]).json()
    assert seen == answer.json()
    assert (seen["state"], seen["context"], seen["decision"]) == ("accepted", {"author": 7}, None)
    assert seen["source"] == {"kind": "url", "url": "https://cdn.example.com/cat.jpg", "query": "removed"}


TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_the_trace_of_a_request_is_kept_with_what_it_brings(deployment, api, caplog):
    caplog.set_level("INFO")
    hide_queries()
    headers = {"traceparent": TRACE}
    api.post("/v1/submissions", json={"id": "single", "source": URL}, headers=headers)
    api.post("/v1/submissions", files={"picture": ("cat.jpg", PIZZA)}, data={"id": "form"}, headers=headers)
    many = {"submissions": [{"id": "many-1", "source": URL}, {"id": "many-2", "source": URL}]}
    api.post("/v1/submissions/batch", json=many, headers=headers)
    api.post("/v1/submissions", json={"id": "none", "source": URL})
    api.post("/v1/submissions", json={"id": "wrong", "source": URL}, headers={"traceparent": "00-0-0-00"})
    kept = {name: row(deployment, name).traceparent for name in ("single", "form", "many-1", "many-2")}
    assert set(kept.values()) == {TRACE}
    assert (row(deployment, "none").traceparent, row(deployment, "wrong").traceparent) == (None, None)
    requests = [record for record in caplog.records if record.name == "worker.web.http.request_log"]
    assert [record.traceparent for record in requests] == [TRACE] * 3 + [None] * 2


def test_an_uploaded_picture_lies_below_the_media_root_under_a_name_of_ours(deployment, api):
    answer = upload(api, reference="post-42", context='{"author": 7}')
    assert answer.status_code == 202
    seen = answer.json()
    (file,) = files(deployment)
    assert file.read_bytes() == PIZZA
    assert deployment.settings.media_root / seen["source"]["path"] == file
    assert (seen["sha256"], seen["reference"], seen["context"]) == (DIGEST, "post-42", {"author": 7})
    assert deployment.unfinished() == {seen["id"]}


def test_the_same_again_is_known_and_another_picture_is_a_conflict(deployment, api):
    assert upload(api, id="upload-7").status_code == 202
    again = upload(api, id="upload-7", reference="told otherwise")
    assert (again.status_code, again.json()["reference"]) == (200, "")
    other = upload(api, PIZZA + b" ", id="upload-7")
    assert (other.status_code, other.json()["title"]) == (409, "Conflict")
    assert upload(api, id="upload-7", policy="stickers").status_code == 409
    assert len(files(deployment)) == 1
    inline = {"kind": "bytes", "base64": base64.b64encode(PIZZA).decode()}
    assert api.post("/v1/submissions", json={"id": "upload-7", "source": inline}).status_code == 200
    assert deployment.unfinished() == {"upload-7"}


def test_an_upload_that_the_database_cannot_take_leaves_no_file(deployment, api):
    with deployment.database.transaction() as session:
        session.execute(text("ALTER TABLE submissions RENAME TO away"))
    for _ in range(3):
        assert upload(api, id="upload-7").status_code in {500, 503}
    assert len(files(deployment)) == 0
    with deployment.database.transaction() as session:
        session.execute(text("ALTER TABLE away RENAME TO submissions"))
    assert upload(api, id="upload-7").status_code == 202
    assert len(files(deployment)) == 1


def test_a_sweep_keeps_what_the_ledger_has_and_deletes_the_rest(deployment, api):
    uploads = Uploads(deployment.settings.media_root, limits_of(deployment.settings))
    accepted = upload(api, id="upload-7").json()["source"]["path"]
    kept = KeptPicture(accepted, "upload-7")
    with uploads.receiving() as picture:
        picture.write(PIZZA)
        orphan = uploads.keep(picture, "upload-7")
    # As if the process had died between the commit and the confirmation.
    (note,) = (deployment.settings.media_root / "web/.pending").iterdir()
    again = note.with_name(accepted.rpartition("/")[2])
    again.write_text(f"upload-7\n{accepted}\n")
    sweep = SweepUploads(deployment.database, uploads)
    sweep()
    assert len(files(deployment)) == 4
    for one in (note, again):
        os.utime(one, (0, 0))
    assert {one.path for one in uploads.abandoned()} == {kept.path, orphan.path}
    sweep()
    assert files(deployment) == [deployment.settings.media_root / accepted]


def test_of_many_at_once_with_the_same_id_one_is_accepted(deployment, api):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: upload(api, PIZZA + bytes([n]), id="upload-7"), range(8)))
        assert sorted(answer.status_code for answer in answers) == [202] + [409] * 7
        items = [{"id": f"many-{n}", "source": URL} for n in range(50)]
        bodies = [{"submissions": items[:: (-1) ** n]} for n in range(8)]
        batches = list(pool.map(lambda body: api.post("/v1/submissions/batch", json=body).json(), bodies))
    statuses = [one["status"] for batch in batches for one in batch["items"]]
    assert (statuses.count(202), statuses.count(200)) == (50, 350)
    assert len(files(deployment)) == 1


def test_each_of_a_batch_is_answered_on_its_own(deployment, api):
    items = [{"id": f"many-{n}", "source": {"kind": "file", "path": f"{n}.jpg"}} for n in range(70)]
    bad = [
        {"id": "many-0", "source": URL},
        {"id": "many-1", "source": {"kind": "file", "path": "1.jpg"}},
        {"source": {"kind": "ftp"}},
        7,
        {"source": URL, "policy": "uploads"},
        {"source": URL, "sorce": 1},
    ]
    answer = api.post("/v1/submissions/batch", json={"submissions": items + bad})
    assert answer.status_code == 200
    found = answer.json()["items"]
    assert [one["status"] for one in found] == [202] * 70 + [409, 200, 422, 422, 422, 422]
    assert "did you mean 'source'?" in found[-1]["problem"]["detail"]
    assert {f"many-{n}" for n in range(70)} == {one.id for one in rows(deployment) if one.state == "accepted"}


def what_is_accepted(session):
    return session.get(SubmissionRow, "upload-7").fingerprint


def rows(deployment):
    with deployment.database.reading() as session:
        return session.scalars(select(SubmissionRow)).all()


@pytest.mark.parametrize(
    ("options", "status", "detail"),
    [
        ({"json": {"id": "a"}}, 422, "field 'source' is missing"),
        ({"json": {"source": URL, "policy": "uploads"}}, 422, "there is no policy 'uploads'"),
        ({"json": {"source": {"kind": "file", "path": "\0"}}}, 422, "NUL"),
        ({"json": [1]}, 422, "not a JSON object"),
        ({"data": b"{", "headers": {"Content-Type": "application/json"}}, 400, "not JSON"),
        ({"data": b"[" * 100_000, "headers": {"Content-Type": "application/json"}}, 400, "not JSON"),
        ({"data": b"x", "headers": {"Content-Type": "text/plain"}}, 415, "multipart/form-data"),
        ({"data": b"x", "headers": {"Content-Type": "multipart/form-data"}}, 400, "boundary"),
        ({"data": b"x", "headers": {"Content-Type": "multipart/form-data; boundary=b"}}, 400, "multipart"),
        ({"data": b"--b\r\n", "headers": {"Content-Type": "multipart/form-data; boundary=b"}}, 400, "early"),
        ({"files": {"image": b"x"}}, 422, "unknown field 'image'"),
        ({"files": {"picture": b""}}, 422, "empty"),
        ({"files": {"picture": b"x"}, "data": {"context": "{"}}, 422, "not JSON"),
        ({"files": {"picture": b"x"}, "data": {"sha256": DIGEST}}, 422, "not the one promised"),
        ({"files": {"picture": b"x"}, "data": {"id": "../x"}}, 422, "not a submission id"),
        ({"files": {"picture": b"x"}, "data": {"reference": "x" * 17_000}}, 422, "16,384"),
        ({"files": {"picture": b"x" * 100_001}}, 413, "100,000"),
        ({"files": {"picture": b"x" * 500_000}}, 413, "bytes"),
        ({"json": {"source": {"kind": "bytes", "base64": "x" * 2**20}}}, 413, "1,048,576"),
    ],
)
def test_what_cannot_be_accepted_is_a_problem_and_leaves_nothing(deployment, api, options, status, detail):
    answer = api.post("/v1/submissions", **options)
    assert (answer.status_code, detail in answer.json()["detail"]) == (status, True), answer.text
    assert str(deployment.folder) not in answer.text
    assert rows(deployment) == []
    assert not (deployment.settings.media_root / "web").exists() or files(deployment) == []


def test_the_door_and_the_field_of_what_no_worker_would_read(tmp_path, redis_url, sqlite_url):
    stores = {"uploads": f"file://{tmp_path}/store"}
    made = deploy(tmp_path, redis_url, sqlite_url, url_hosts="*.example.com", object_stores=stores)
    with serving_api(made.settings) as (url, _):
        api = Api(url, make_key(made.database))
        for n, (source, field, words) in enumerate(AT_THE_DOOR):
            body = {"id": f"door-{n}", "source": source, "sha256": "0" * 64}
            answer = api.post("/v1/submissions", json=body)
            assert answer.status_code == 422, answer.text
            (problem,) = answer.json()["errors"]
            assert (problem["where"], words in problem["detail"]) == (field, True), answer.text
            assert (str(tmp_path) in answer.text, "5ec7e7" in answer.text) == (False, False)
            (item,) = api.post("/v1/submissions/batch", json={"submissions": [body]}).json()["items"]
            assert (item["status"], item["problem"]["errors"][0]["where"]) == (422, field)
        for source in (URL, {"kind": "object", "store": "uploads", "key": "a.jpg"}):
            assert api.post("/v1/submissions", json={"source": source}).status_code == 202
    assert {one.source["kind"] for one in rows(made)} == {"url", "object"}
    made.database.dispose()


AT_THE_DOOR = [
    ({"kind": "file", "path": "../a.jpg"}, "source.path", "climbs"),
    ({"kind": "file", "path": "/etc/passwd"}, "source.path", "is absolute"),
    ({"kind": "file", "path": ""}, "source.path", "1 to 1024"),
    ({"kind": "file", "path": "a\0.jpg"}, "source.path", "NUL"),
    ({"kind": "file", "path": "a\x1b.jpg"}, "source.path", "control characters"),
    ({"kind": "file", "path": "\ud800.jpg"}, "source.path", "valid Unicode"),
    ({"kind": "url", "url": "ftp://cdn.example.com/a"}, "source.url", "begins with https"),
    (
        {"kind": "url", "url": "https://evil.example.net/?5ec7e7"},
        "source.url",
        "host evil.example.net is not",
    ),
    ({"kind": "url", "url": "https://cdn.example.com:22/"}, "source.url", "port 22"),
    ({"kind": "object", "store": "attic", "key": "a.jpg"}, "source.store", "no object store 'attic'"),
    ({"kind": "object", "store": "uploads", "key": "../a.jpg"}, "source.key", "an empty part, . or .."),
    ({"kind": "bytes", "base64": "QUJD"}, "sha256", "not the one promised"),
]


def test_keys_open_what_their_scopes_say(deployment, api):
    nobody, stranger = Api(api.url), Api(api.url, "mod_0123456789_" + "a" * 43)
    reader = Api(api.url, make_key(deployment.database, Scope.READ))
    submitter = Api(api.url, make_key(deployment.database, Scope.SUBMIT))
    body = {"id": "upload-7", "source": URL}
    for wrong in (nobody, stranger):
        answer = wrong.post("/v1/submissions", json=body)
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert reader.post("/v1/submissions", json=body).status_code == 403
    assert submitter.post("/v1/submissions", json=body).status_code == 202
    assert submitter.get("/v1/submissions/upload-7").status_code == 403
    assert reader.get("/v1/submissions/upload-7").status_code == 200


def test_paths_and_methods_that_are_none_are_problems(api):
    assert api.get("/v1/nothing").status_code == 404
    assert api.get("/v1/submissions/none").status_code == 404
    answer = api("DELETE", "/v1/submissions/none")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET")


def test_whoever_waits_is_told_when_it_is_decided_and_no_longer_than_asked(deployment, api):
    body = {"id": "upload-7", "source": {"kind": "file", "path": "cat.jpg"}}
    answer = api.post("/v1/submissions", json=body, headers={"Prefer": "respond-async, wait=0"})
    assert (answer.status_code, answer.headers["Preference-Applied"]) == (202, "wait=0")
    with deployment.database.transaction() as session:
        outcomes.refuse(session, "upload-7", "no policy", of=what_is_accepted(session))
    again = api.post("/v1/submissions", json=body | {"id": "upload-8"}, headers={"Prefer": "wait=x"})
    assert "Preference-Applied" not in again.headers
    assert api.get("/v1/submissions/upload-7").json()["error"] == "no policy"


def test_nobody_waits_where_there_is_no_seat(tmp_path, redis_url, sqlite_url):
    made = deploy(tmp_path, redis_url, sqlite_url, web_waiters=0)
    with serving_api(made.settings) as (url, _):
        api = Api(url, make_key(made.database))
        answer = api.post("/v1/submissions", json={"source": URL}, headers={"Prefer": "wait=20"})
    assert answer.status_code == 202
    assert "Preference-Applied" not in answer.headers
    made.database.dispose()


def test_while_the_broker_is_away_pictures_are_accepted_and_published_later(
    tmp_path, redis_url, database_url
):
    made = deploy(tmp_path, "redis://127.0.0.1:1/0", database_url)
    with serving_api(made.settings) as (url, _):
        api = Api(url, make_key(made.database))
        answers = [api.post("/v1/submissions", json={"source": URL}) for _ in range(3)]
        assert {answer.status_code for answer in answers} == {202}
        assert api.get("/readyz").json() == {"database": "ready", "policies": "ready", "broker": "away"}
    assert {one.published_again for one in rows(made)} == {0}
    later, metrics = (
        replace(made, settings=made.settings.model_copy(update={"broker_url": redis_url})),
        Metrics(),
    )
    with later.client() as client:
        pending = PublishPending(made.database, PublishSubmissions(client), metrics)
        assert RepublishDue(made.database, pending)() == 3
    assert later.unfinished() == {answer.json()["id"] for answer in answers}
    assert b"moderation_published_again_total 3.0" in generate_latest(metrics.registry)
    assert {one.published_again for one in rows(made)} == {1}
    made.database.dispose()


def test_a_key_that_asks_too_much_is_told_when_it_may_again(tmp_path, redis_url, sqlite_url):
    made = deploy(tmp_path, redis_url, sqlite_url, web_requests_per_minute=5)
    with serving_api(made.settings) as (first, _), serving_api(made.settings) as (second, _):
        token = make_key(made.database)
        answers = [Api(url, token).get("/v1/decisions") for url in [first, second] * 4]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 3
        assert 1 <= int(answers[-1].headers["Retry-After"]) <= 12
        assert Api(first, make_key(made.database)).get("/v1/decisions").status_code == 200
    made.database.dispose()


def test_while_the_tables_are_away_it_is_503_and_says_nothing_about_us(deployment, api):
    with deployment.database.transaction() as session:
        session.execute(text("ALTER TABLE api_keys RENAME TO away"))
    for path in ("/v1/decisions", "/readyz"):
        answer = api.get(path)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert answer.json()["detail"] == "something the service needs is unavailable"
    assert api.get("/healthz").json() == {"status": "alive"}


def test_every_answer_has_the_id_that_the_log_has(api, caplog):
    caplog.set_level("INFO", "worker.web.http.request_log")
    answer = api.get("/v1/submissions/none", headers={"X-Request-ID": "abc-1"})
    assert answer.headers["X-Request-ID"] == answer.json()["request_id"] == "abc-1"
    forged = api.get("/healthz?signature=5ec7e7", headers={"X-Request-ID": "a b"})
    assert forged.headers["X-Request-ID"] != "a b"
    assert "request abc-1" in caplog.text
    assert "5ec7e7" not in caplog.text


def test_a_mistake_of_ours_is_a_problem_without_a_traceback(api, monkeypatch):
    monkeypatch.setattr("worker.web.api.submissions.submission_view", lambda _: 1 / 0)
    answer = api.post("/v1/submissions", json={"source": URL}, headers={"X-Request-ID": "abc-2"})
    assert (answer.status_code, answer.json()["detail"]) == (500, "the service failed")
    assert answer.json()["request_id"] == "abc-2"


def test_what_it_did_is_in_the_metrics(api):
    api.post("/v1/submissions", json={"source": URL})
    lines = api.get("/metrics").text.splitlines()
    assert 'moderation_http_requests_total{method="POST",route="/v1/submissions",status="202"} 1.0' in lines
    assert "moderation_accepted_total 1.0" in lines


def test_a_refused_submission_can_be_handed_over_again(deployment, api):
    api.post("/v1/submissions", json={"id": "upload-7", "source": URL})
    with deployment.database.transaction() as session:
        outcomes.refuse(session, "upload-7", "no policy", of=what_is_accepted(session))
    answer = api.post("/v1/submissions", json={"id": "upload-7", "source": URL})
    assert (answer.status_code, answer.json()["state"], answer.json()["error"]) == (202, "accepted", None)


def test_what_came_before_there_were_fingerprints_is_known_by_its_source(deployment, api):
    what = Submission("upload-7", LocalFile("cat.jpg"))
    source = {"kind": "file", "path": "cat.jpg"}
    with deployment.database.transaction() as session:
        decided = outcomes.DecidedSubmission(what, "p", "d" * 64, sha256=DIGEST, source=source)
        outcomes.record(session, [decided])
        session.execute(update(SubmissionRow).values(fingerprint=None, updated_at=utc_now()))
    assert api.post("/v1/submissions", json={"id": "upload-7", "source": source}).status_code == 200
    assert api.post("/v1/submissions", json={"id": "upload-7", "source": URL}).status_code == 409
    assert upload(api, id="upload-7").status_code == 200
    assert json.loads(upload(api, b"x", id="upload-7").text)["status"] == 409


def test_a_policy_whose_file_was_saved_a_moment_ago_is_accepted_and_one_that_never_was_good_is_not(
    deployment, api
):
    policies = deployment.settings.policies
    good = deployment.policy_file.read_text(encoding="utf-8")
    (policies / "new.yaml").write_text(good.replace("name: stickers", "name: new", 1), encoding="utf-8")
    (policies / "broken.yaml").write_text("name: broken\nlabels: {weapons: [\n", encoding="utf-8")
    assert api.post("/v1/submissions", json={"source": URL, "policy": "new"}).status_code == 202
    answer = api.post("/v1/submissions", json={"source": URL, "policy": "broken"})
    assert (answer.status_code, answer.json()["detail"]) == (
        422,
        "there is no policy 'broken' that decides here",
    )
    with deployment.database.transaction() as session:
        fixed = good.replace("name: stickers", "name: broken", 1)
        policy_versions.in_force(session, parse_policy(fixed, "broken.yaml"), fixed)
    assert api.post("/v1/submissions", json={"source": URL, "policy": "broken"}).status_code == 202


def test_a_policy_that_every_worker_refuses_is_refused_until_its_file_is_saved_anew(deployment, api):
    file = deployment.settings.policies / "new.yaml"
    good = deployment.policy_file.read_text(encoding="utf-8")
    file.write_text(good.replace("name: stickers", "name: new", 1), encoding="utf-8")
    later = utc_now() + timedelta(seconds=1)
    state = PolicyState("new", None, refused_at=later, refusal="its tests fail")
    with deployment.database.transaction() as session:
        policy_states.replace(session, "host:1:1", [state])
    assert api.post("/v1/submissions", json={"source": URL, "policy": "new"}).status_code == 422
    saved_at = later.timestamp() + 1
    os.utime(file, (saved_at, saved_at))
    assert api.post("/v1/submissions", json={"source": URL, "policy": "new"}).status_code == 202


def test_a_second_judgement_is_asked_for_once_by_its_name(deployment, api):
    what = Submission("upload-7", ImageUrl(URL["url"]))
    fields = {"id": "upload-7", "source": URL}
    assert api.post("/v1/submissions", json=fields).status_code == 202
    asked = fields | {"again": "since-the-edit"}
    assert api.post("/v1/submissions", json=asked).status_code == 200, "it will be judged anyway"
    with deployment.database.transaction() as session:
        outcomes.record(session, [outcomes.DecidedSubmission(what, "stickers", "d" * 64, None, None)])
    assert api.post("/v1/submissions", json=fields).status_code == 200
    answer = api.post("/v1/submissions", json=asked)
    assert (answer.status_code, answer.headers["Location"]) == (202, "/v1/submissions/upload-7")
    assert row(deployment, "upload-7").pending_source == URL
    with redis.Redis.from_url(deployment.settings.broker_url) as broker:
        assert broker.llen(deployment.settings.queue) == 2
        assert api.post("/v1/submissions", json=asked).status_code == 200
        assert broker.llen(deployment.settings.queue) == 2
    problem = api.post("/v1/submissions", json=fields | {"again": "not a name"})
    assert problem.status_code == 422
