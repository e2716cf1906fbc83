"""Every way a platform hands over an upload, through a real Redis and one real worker: URLs, stores, many at once."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from celery import Celery
from moderation_client import ImageUrl, InlineBytes, LocalFile, StoredObject, Submission, new_submission_id
from moderation_client.messages import TASK_MANY, to_message
from moderation_demo import PICTURES
from sqlalchemy import MetaData, select, text, update
from support.deployment import Deployment, deploy, wait_for
from support.pictures import drawing, encoded
from support.web import serving

from worker.store.engine.column_types import utc_now
from worker.store.engine.tables import ReviewRow, SubmissionRow
from worker.store.reviews import review_sources
from worker.store.submissions import outcomes, submissions

EXAMPLES = Path(__file__).parents[3] / "examples"
PIZZA = (PICTURES / "pizza.jpg").read_bytes()
SIGNED = ImageUrl("https://localhost/cat.jpg?signature=5ec7e7")


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("deployment")
    (folder / "store").mkdir()
    stores = {"disk": f"file://{folder}/store", "tape": "s3://tape"}
    made = deploy(
        folder, redis_url, url_hosts="any-public", object_stores=stores, concurrency=4, policy_wait_seconds=3
    )
    with (
        serving(lambda visit: visit.answer(500)) as troubled,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{troubled.port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        with made.worker():
            yield made
    made.database.dispose()


def pictures(deployment, count):
    """Save so many different small pictures and return submissions of them."""
    return [
        Submission(
            new_submission_id(),
            LocalFile(deployment.save_picture(f"{n}.png", encoded(drawing(40 + n, 40), "PNG"))),
            context={"number": n},
        )
        for n in range(count)
    ]


def row_of(deployment, submission_id):
    with deployment.database.reading() as session:
        return session.scalars(select(SubmissionRow).where(SubmissionRow.id == submission_id)).one()


def refusals(deployment):
    with deployment.database.reading() as session:
        return dict(submissions.refused(session, limit=100))


def places_with(deployment, words):
    """Return table.column of every value in the database that has the words in it."""
    with deployment.database.reading() as session:
        return [
            f"{table.name}.{column}"
            for table in reflected(session)
            for row in session.execute(select(table)).mappings()
            for column, value in row.items()
            if words in str(value)
        ]


def reflected(session):
    found = MetaData()
    found.reflect(session.connection())
    return found.sorted_tables


def test_many_in_one_message_are_decided_each_with_its_context(deployment):
    wanted = pictures(deployment, 64)
    with deployment.client() as client:
        ids = client.submit_many(wanted)
    found = {decision.submission_id: decision for decision in deployment.decided(ids)}
    assert len(found) == 64
    assert [found[one.id].context for one in wanted] == [{"number": n} for n in range(64)]
    assert all(decision.scores for decision in found.values())
    wait_for(lambda: not deployment.unfinished(), what="the message to be acknowledged")


def test_one_bad_item_loses_no_other(deployment):
    good = pictures(deployment, 3)
    entries = [to_message(one) for one in good]
    entries[1:1] = [
        {"id": "many-malformed", "source": {"kind": "file"}},
        {"id": "many-missing", "source": {"kind": "file", "path": "nowhere.jpg"}},
        {"id": "many-broken", "source": {"kind": "bytes", "base64": "QUJD"}},
        to_message(Submission("many-unknown-policy", LocalFile("0.png"), policy="uploads")),
        to_message(Submission("many-not-allowed", SIGNED)),
    ]
    with Celery(broker=deployment.settings.broker_url, set_as_current=False) as app:
        app.send_task(TASK_MANY, kwargs={"submissions": entries}, queue=deployment.settings.queue)
    decided = ["many-missing", "many-broken", "many-not-allowed", *(one.id for one in good)]
    actions = {decision.submission_id: decision for decision in deployment.decided(decided)}
    assert all(actions[one.id].scores for one in good)
    assert "nowhere.jpg" in actions["many-missing"].reason
    wait_for(
        lambda: {"many-malformed", "many-unknown-policy"} <= set(refusals(deployment)), what="the refusals"
    )


def test_delivered_five_times_many_are_decided_once(deployment):
    wanted = pictures(deployment, 8)
    with deployment.client() as client:
        for _ in range(5):
            ids = client.submit_many(wanted)
    wait_for(lambda: not deployment.unfinished(), what="all five to be worked")
    assert len(deployment.decided(ids)) == 8


def test_while_the_tables_are_away_many_are_not_lost(deployment):
    wanted = pictures(deployment, 20)
    log = deployment.folder / "worker.log"
    with deployment.client() as client:
        with deployment.database.transaction() as session:
            session.execute(text("ALTER TABLE decisions RENAME TO away"))
        try:
            before = log.read_text().count("waiting: ")
            ids = client.submit_many(wanted)
            wait_for(
                lambda: log.read_text().count("waiting: ") > before, what="the worker to say that it waits"
            )
        finally:
            with deployment.database.transaction() as session:
                session.execute(text("ALTER TABLE away RENAME TO decisions"))
    assert len(deployment.decided(ids)) == 20


def test_an_object_is_judged(deployment):
    (deployment.folder / "store" / "a").mkdir()
    (deployment.folder / "store" / "a" / "pizza.jpg").write_bytes(PIZZA)
    with deployment.client() as client:
        found = client.submit(StoredObject("disk", "a/pizza.jpg"))
        missing = client.submit(StoredObject("disk", "a/none.jpg"))
    reasons = {d.submission_id: d.reason for d in deployment.decided([found, missing]) if not d.scores}
    assert set(reasons) == {missing}
    assert "there is no file 'a/none.jpg' below the object store disk" in reasons[missing]
    assert row_of(deployment, found).source == {"kind": "object", "store": "disk", "key": "a/pizza.jpg"}


def test_a_url_to_this_machine_is_decided_unfetched_and_its_signature_is_nowhere(deployment):
    with deployment.client() as client:
        submitted = client.submit(SIGNED, reference=str(SIGNED))
    (decision,) = deployment.decided([submitted])
    assert (decision.action, decision.scores) == ("review", ())
    assert re.search("localhost has the address .*, which is loopback", decision.reason)
    assert row_of(deployment, submitted).source == {
        "kind": "url",
        "url": "https://localhost/cat.jpg",
        "query": "removed",
    }


def test_a_host_that_can_never_be_allowed_is_refused_and_its_signature_is_nowhere(deployment):
    with deployment.client() as client:
        submitted = client.submit(ImageUrl("https://127.0.0.1/cat.jpg?signature=5ec7e7"))
    refusal = wait_for(lambda: refusals(deployment).get(submitted), what="the refusal")
    assert "127.0.0.1 has the address 127.0.0.1, which is loopback" in refusal


def test_a_store_that_fails_as_a_whole_decides_nothing_and_holds_up_no_other(deployment, moderate):
    """Its server answers 500 to everything: what waits for it is in the ledger, and status says for what."""
    with deployment.client() as client:
        tape = [StoredObject("tape", "cat.jpg"), StoredObject("tape", "dog.jpg")]
        client.submit_many([Submission(f"tape-{n}", source) for n, source in enumerate(tape)])
        others = client.submit_many(pictures(deployment, 30))
    assert len(deployment.decided(others)) == 30
    wait_for(lambda: row_of(deployment, "tape-0").waits_for, what="the first try")
    waiting = row_of(deployment, "tape-0")
    assert (waiting.state, waiting.attempts) == ("accepted", 0)
    assert waiting.waits_for == "the object store tape"
    settings = deployment.settings
    places = {name: getattr(settings, name) for name in ("database_url", "broker_url", "queue")}
    result = moderate("status", **places)
    assert result.exit_code == 1
    shown = " ".join(result.out.split())
    assert "the object store tape is unavailable, 2 submissions waiting for it" in shown
    assert "the object store tape cannot be read: " in shown
    assert json.loads(moderate("status", "--json", **places).out)["database"]["waiting_for"].keys() == {
        "the object store tape"
    }
    log = (deployment.folder / "worker.log").read_text()
    assert log.count("the object store tape is unavailable") == 1
    with deployment.database.transaction() as session:
        outcomes.refuse(session, "tape-0", "done with it", of=waiting.fingerprint)
        outcomes.refuse(session, "tape-1", "done with it", of=row_of(deployment, "tape-1").fingerprint)


@pytest.mark.parametrize("example", ["enqueue_with_celery.py", "enqueue_with_redis.py"])
@pytest.mark.parametrize("count", [1, 3])
def test_the_examples_enqueue_what_the_worker_decides(deployment, example, count):
    names = [deployment.save_picture(f"{example}-{count}-{n}.jpg", PIZZA) for n in range(count)]
    settings = deployment.settings
    command = [sys.executable, EXAMPLES / example, settings.broker_url, *names, "--queue", settings.queue]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    decided = deployment.decided(run.stdout.split())
    assert sorted(decision.reference for decision in decided) == sorted(names)
    assert all(decision.context == {"sent by": example} for decision in decided)
    assert all(decision.action == "allow" for decision in decided)


def test_moderate_submit_takes_folders_urls_and_keys_and_a_context(deployment, moderate):
    settings = deployment.settings
    places = {"broker_url": settings.broker_url, "queue": settings.queue, "media_root": settings.media_root}
    for n in range(65):
        deployment.save_picture(f"folder-{n}.png", encoded(drawing(50, 41 + n), "PNG"))
    before = len(list(settings.media_root.iterdir()))
    places |= {"url_hosts": "any-public", "object_stores": json.dumps(settings.object_stores)}
    result = moderate("submit", settings.media_root, SIGNED.url, "--context", '{"post": 42}', **places)
    assert result.exit_code == 0
    ids = result.out.split()
    assert len(ids) == before + 1 > 65
    keys = moderate("submit", "--store", "disk", "x/y.jpg", **places).out.split()
    decided = deployment.decided([*ids, *keys])
    assert {json.dumps(decision.context) for decision in decided} == {'{"post": 42}', "null"}
    assert "https://localhost/cat.jpg" in {decision.reference for decision in decided}
    listed = moderate("decisions", "--json", "--limit", 5, database_url=settings.database_url)
    assert '"context": ' in listed.out


def test_nothing_that_was_kept_or_said_shows_a_signature(deployment, moderate):
    """After all that reads a signed URL: everything before has been through this worker and this database."""
    assert "5ec7e7" not in (deployment.folder / "worker.log").read_text()
    assert set(places_with(deployment, "5ec7e7")) == {"submissions.review_source"}, "the desk needs it yet"
    with deployment.database.transaction() as session:
        session.execute(update(ReviewRow).values(state="settled"))
        session.execute(update(SubmissionRow).values(updated_at=utc_now() - timedelta(days=1)))
        review_sources.forget(session, review_sources.kept(session, after="", limit=500))
    assert places_with(deployment, "localhost/cat.jpg")
    assert places_with(deployment, "5ec7e7") == []
    listed = moderate("decisions", "--limit", 500, database_url=deployment.settings.database_url)
    assert "5ec7e7" not in listed.out + listed.err


def test_many_with_their_bytes_go_one_by_one(deployment, moderate, tmp_path):
    for n in range(3):
        (tmp_path / f"{n}.png").write_bytes(encoded(drawing(60 + n, 40), "PNG"))
    settings = deployment.settings
    files = [tmp_path / f"{n}.png" for n in range(3)]
    result = moderate("submit", "--inline", *files, broker_url=settings.broker_url, queue=settings.queue)
    assert result.exit_code == 0
    assert len(deployment.decided(result.out.split())) == 3
    with deployment.client() as client, pytest.raises(Exception, match="no pictures"):
        client.submit_many([Submission("1", InlineBytes(PIZZA))])
