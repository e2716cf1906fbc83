"""The ledger answers for every message, and decides each submission once: a real worker on both databases."""

import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from celery import Celery
from moderation_client import InlineBytes, LocalFile, Submission
from sqlalchemy import select
from support.broken_rows import broken_rows
from support.deployment import Deployment, deploy, wait_for
from support.pictures import drawing, encoded

from worker.observability.metrics import WebMetrics
from worker.policy_files.parser import read_policy
from worker.store.engine.tables import SubmissionRow
from worker.store.notifications import outbox
from worker.store.submissions import submissions
from worker.usecases.submissions.accept_submissions import AcceptSubmissions
from worker.usecases.submissions.publish_submissions import PublishSubmissions

CAT = encoded(drawing(40, 40), "PNG")
WEBHOOK = "https://platform.example/moderated"


@pytest.fixture(scope="module", params=[pytest.param("sqlite", marks=pytest.mark.exhaustive), "postgresql"])
def deployment(request, tmp_path_factory, redis_url) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("deployment")
    options = {"policy_wait_seconds": 8, "concurrency": 4, "url_hosts": "any-public"}
    options |= {"webhook_hosts": "platform.example", "webhook_url": WEBHOOK}
    options |= {"webhook_secrets": "whsec_" + "QUJD" * 8}
    with ExitStack() as stack:
        url = ""
        if request.param == "postgresql":
            url = stack.enter_context(request.getfixturevalue("postgres_server").fresh_database())
        made = deploy(folder, redis_url, url, **options)
        stack.callback(made.database.dispose)
        made.save_picture("cat.png", CAT)
        stack.enter_context(made.worker())
        yield made


def log_of(deployment):
    return (deployment.folder / "worker.log").read_text()


def known(deployment):
    with deployment.database.reading() as session:
        return set(session.scalars(select(SubmissionRow.id)))


def accept_elsewhere(deployment, policies, *accepted):
    """Accept over HTTP, by a web process whose policies lie in another folder."""
    with deployment.client() as client:
        publish = PublishSubmissions(client)
        return AcceptSubmissions(deployment.database, policies, publish, WebMetrics())(accepted)


def save(folder, deployment, name):
    text = deployment.policy_file.read_text(encoding="utf-8").replace("name: stickers", f"name: {name}", 1)
    (folder / f"{name}.yaml").write_text(text, encoding="utf-8")


def test_while_every_claim_fails_nothing_is_acknowledged(deployment):
    before = log_of(deployment).count("cannot be claimed")
    with deployment.client() as client, broken_rows(deployment.database, "id LIKE 'all-%'"):
        ids = client.submit_many([Submission(f"all-many-{n}", LocalFile("cat.png")) for n in range(5)])
        ids += [client.submit(LocalFile("cat.png"), id=f"all-one-{n}") for n in range(6)]
        # More often than there are threads: some have gone back to the queue and come again.
        wait_for(
            lambda: log_of(deployment).count("cannot be claimed") >= before + 30, what="the worker to try"
        )
        assert not known(deployment) & set(ids)
        wait_for(lambda: deployment.unfinished() >= set(ids), what="all to be in Redis")
    assert len(deployment.decided(ids)) == 11
    wait_for(lambda: not deployment.unfinished(), what="every message to be acknowledged")


def test_one_that_fails_takes_none_of_its_message_along_and_is_not_lost(deployment):
    ids = [f"some-{n}" for n in range(64)]
    with deployment.client() as client, broken_rows(deployment.database, "id IN ('some-7', 'some-63')"):
        client.submit_many([Submission(name, LocalFile("cat.png")) for name in ids])
        good = [name for name in ids if name not in {"some-7", "some-63"}]
        assert len(deployment.decided(good)) == 62
        assert not known(deployment) & {"some-7", "some-63"}
        wait_for(lambda: "some-7" in deployment.unfinished(), what="the message to be in Redis")
    assert len(deployment.decided(ids)) == 64


def test_what_cannot_be_refused_is_not_lost_either(deployment):
    with (
        Celery(broker=deployment.settings.broker_url, set_as_current=False) as app,
        broken_rows(deployment.database, "id = 'bad'"),
    ):
        before = log_of(deployment).count("submission bad cannot be refused")
        app.send_task("moderation.check", kwargs={"id": "bad"}, queue=deployment.settings.queue)
        wait_for(
            lambda: log_of(deployment).count("submission bad cannot be refused") > before + 1,
            what="the message to come again",
        )
    wait_for(lambda: "bad" in known(deployment), what="the refusal")


def test_what_http_accepted_before_the_worker_has_its_policy_is_decided_when_it_comes(deployment, tmp_path):
    save(tmp_path, deployment, "late")
    ids = [f"late-{n}" for n in range(10)]
    wanted = [Submission(name, LocalFile("cat.png"), policy="late") for name in ids]
    accept_elsewhere(deployment, tmp_path, *wanted)
    wait_for(lambda: log_of(deployment).count("waits: no policy") >= 10, what="the worker to look for it")
    time.sleep(deployment.settings.policy_wait_seconds + 2)
    with deployment.database.reading() as session:
        assert not set(ids) & set(dict(submissions.refused(session, limit=100)))
    save(deployment.settings.policies, deployment, "late")
    assert {one.policy for one in deployment.decided(ids)} == {"late"}


def test_a_bare_message_waits_for_its_policy_and_is_refused_with_an_event_if_it_never_comes(deployment):
    with deployment.client() as client:
        client.submit(LocalFile("cat.png"), id="rolled-out", policy="soon")
        client.submit(LocalFile("cat.png"), id="mistyped", policy="nowhere", reference="post-7")
        time.sleep(2)
        save(deployment.settings.policies, deployment, "soon")
        assert len(deployment.decided(["rolled-out"])) == 1

    def refusal():
        with deployment.database.reading() as session:
            return [
                one
                for one in outbox.newest(session, submission_id="mistyped", limit=5)
                if one.kind == "submission.refused"
            ]

    (event,) = wait_for(refusal, what="the event of the refusal")
    assert 'no policy "nowhere" is in force' in event.problem
    assert event.callback == {"url": WEBHOOK}
    wait_for(lambda: not deployment.unfinished(), what="every message to be acknowledged")


def test_an_edit_of_the_policy_decides_nothing_again_unless_somebody_asks(deployment):
    ids = [f"once-{n}" for n in range(5)]

    def submit(**options):
        with deployment.client() as client:
            for name in ids:
                client.submit(InlineBytes(CAT), id=name, **options)
        wait_for(lambda: not deployment.unfinished(), what="every message to be acknowledged")

    submit()
    assert len(deployment.decided(ids)) == 5
    good = deployment.policy_file.read_text(encoding="utf-8")
    try:
        edited = good.replace("review: 0.5", "review: 0.45", 1)
        deployment.policy_file.write_text(edited, encoding="utf-8")
        digest = read_policy(deployment.policy_file)[0].digest
        wait_for(lambda: f"version {digest[:12]} is in force" in log_of(deployment), what="the edit")
        submit()
        assert len(deployment.decided(ids)) == 5
        for _ in range(2):
            submit(again="since-the-edit")
        decided = deployment.decided(ids)
        assert len(decided) == 10
        assert {one.policy_digest for one in decided[5:]} == {digest}
    finally:
        deployment.policy_file.write_text(good, encoding="utf-8")
    wait_for(lambda: log_of(deployment).count("is in force") > 2, what="the first version")
    submit(again="since-the-edit")
    submit()
    assert len(deployment.decided(ids)) == 10


def test_the_command_asks_for_a_second_judgement_of_one_picture(deployment, moderate):
    settings = deployment.settings
    places = {"broker_url": settings.broker_url, "queue": settings.queue, "media_root": settings.media_root}
    picture = settings.media_root / "cat.png"
    assert moderate("submit", picture, "--again", "x", **places).exit_code == 2
    deployment.save_picture("dog.png", CAT)
    both = moderate("submit", picture, settings.media_root / "dog.png", "--id", "two", **places)
    assert (both.exit_code, "--id names one picture, these are 2" in both.err) == (2, True)
    assert moderate("submit", picture, "--id", "by-hand", **places).out.split() == ["by-hand"]
    deployment.decided(["by-hand"])
    asked = moderate("submit", picture, "--id", "by-hand", "--again", "since-the-edit", **places)
    assert (asked.exit_code, asked.out.split()) == (0, ["by-hand"])

    def request():
        with deployment.database.reading() as session:
            return session.get(SubmissionRow, "by-hand").again

    assert wait_for(request, what="the request") == "since-the-edit"
