"""From message to decision through a real Redis and a real worker process: one worker for the whole file."""

import base64
import hashlib
import json
from collections.abc import Iterator

import pytest
import redis
from celery import Celery
from moderation_client import InlineBytes, LocalFile
from moderation_client.messages import TASK
from moderation_demo import PICTURES
from PIL import Image
from sqlalchemy import select, text
from support.deployment import Deployment, deploy, wait_for
from support.pictures import drawing, encoded, png_header

from worker.policy_files.parser import read_policy
from worker.store.decisions import decisions
from worker.store.engine.tables import EmbeddingRow
from worker.store.submissions import submissions

PIZZA = (PICTURES / "pizza.jpg").read_bytes()
SWORDS = (PICTURES / "crossed-swords.webp").read_bytes()


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("deployment")
    made = deploy(folder, redis_url, max_picture_bytes=1_000_000, url_hosts="none", policy_wait_seconds=3)
    with made.worker():
        yield made
    made.database.dispose()


@pytest.fixture
def submit(deployment):
    """Submit pictures through the client and return the decisions, in order."""

    def submit_all(*sources, **fields):
        with deployment.client() as client:
            ids = [client.submit(source, **fields) for source in sources]
        found = {decision.submission_id: decision for decision in deployment.decided(ids)}
        return [found[submission_id] for submission_id in ids]

    return submit_all


def send(deployment, arguments=(), **message):
    """Send a message as a producer without our client would."""
    with Celery(broker=deployment.settings.broker_url, set_as_current=False) as app:
        app.send_task(TASK, args=arguments, kwargs=message, queue=deployment.settings.queue)


def test_pictures_in_decisions_out(deployment, submit):
    deployment.save_picture("swords.webp", SWORDS)
    swords, pizza = submit(LocalFile("swords.webp"), InlineBytes(PIZZA), reference="post-42")
    assert (swords.flagged[0], pizza.action, pizza.reference) == ("weapons", "allow", "post-42")
    assert swords.action in {"review", "block"}
    assert [score.label for score in pizza.scores] == [
        label.name for label in read_policy(deployment.policy_file)[0].labels
    ]


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("broken.jpg", PIZZA[: len(PIZZA) // 2], "not judged"),
        ("empty.png", b"", "empty"),
        ("letter.jpg", b"Dear moderators, this is a letter.", "not judged"),
        ("bomb.png", png_header(60_000, 60_000), "larger than"),
        ("heavy.bmp", encoded(Image.new("RGB", (700, 700)), "BMP"), "1,000,000"),
    ],
)
def test_what_is_no_picture_for_us_is_decided_with_the_reason(deployment, submit, name, data, words):
    (decision,) = submit(LocalFile(deployment.save_picture(name, data)))
    assert (decision.action, decision.scores) == ("review", ())
    assert words in decision.reason


def test_a_wrongly_named_picture_is_judged_by_its_content(deployment, submit):
    (decision,) = submit(LocalFile(deployment.save_picture("really-a-png.jpg", encoded(drawing(), "PNG"))))
    assert decision.scores


def test_what_cannot_be_read_is_decided_with_the_reason(submit):
    (decision,) = submit(LocalFile("missing.jpg"))
    assert (decision.action, decision.scores) == ("review", ())
    assert "missing.jpg" in decision.reason


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"kind": "file", "path": "../policies/stickers.yaml"}, "climbs with '..'"),
        ({"kind": "file", "path": "/etc/passwd"}, "is absolute"),
        ({"kind": "file", "path": "a\nb.jpg"}, "control characters"),
        ({"kind": "url", "url": "ftp://cdn.example.com/cat.jpg"}, "begins with https:// or http://"),
        ({"kind": "url", "url": "https://cdn.example.com/cat.jpg"}, "is not allowed here"),
        ({"kind": "object", "store": "attic", "key": "cat.jpg"}, "no object store 'attic' is configured"),
        ({"kind": "bytes", "base64": "QUJD"}, "not the one promised"),
    ],
)
def test_what_a_producer_got_wrong_is_refused_with_the_reason_and_asked_of_nobody(deployment, source, words):
    """A bare message knocks at no door: what our client and HTTP would have refused, the ledger refuses."""
    name = f"wrong-{hashlib.sha256(json.dumps(source).encode()).hexdigest()[:8]}"
    send(deployment, id=name, source=source, sha256="0" * 64)
    assert words in wait_for(lambda: refusals(deployment).get(name), what="the refusal")
    with deployment.database.reading() as session:
        assert decisions.of_submissions(session, [name]) == []


def test_other_bytes_than_promised_are_not_judged(deployment, submit):
    path = deployment.save_picture("replaced.jpg", PIZZA)
    (decision,) = submit(LocalFile(path), sha256="0" * 64)
    assert decision.scores == ()
    assert "not the ones that were submitted" in decision.reason


def test_delivered_five_times_decided_once(deployment):
    with deployment.client() as client:
        for _ in range(5):
            client.submit(InlineBytes(PIZZA), id="post-7")
    wait_for(lambda: not deployment.unfinished(), what="all five to be worked")
    assert len(deployment.decided(["post-7"])) == 1


def test_the_same_bytes_are_not_embedded_again(deployment, submit):
    """Judged by what is stored: with the vectors of swords put under it, a drawing is swords."""
    picture = encoded(drawing(64, 64), "PNG")
    assert "weapons" not in submit(InlineBytes(picture))[0].flagged
    submit(InlineBytes(SWORDS))
    with deployment.database.transaction() as session:
        vectors = {
            digest: session.scalars(select(EmbeddingRow).where(EmbeddingRow.sha256 == digest)).one()
            for digest in (hashlib.sha256(picture).hexdigest(), hashlib.sha256(SWORDS).hexdigest())
        }
        drawn, swords = vectors.values()
        drawn.vectors = swords.vectors
    assert "weapons" in submit(InlineBytes(picture))[0].flagged


def test_while_the_tables_are_away_nothing_is_lost(deployment):
    with deployment.client() as client:
        with deployment.database.transaction() as session:
            session.execute(text("ALTER TABLE decisions RENAME TO away"))
        try:
            ids = [client.submit(InlineBytes(PIZZA)) for _ in range(40)]
            log = deployment.folder / "worker.log"
            wait_for(lambda: "waiting: " in log.read_text(), what="the worker to say that it waits")
            # A message on its way back to the queue is in neither place for a moment.
            wait_for(lambda: deployment.unfinished() == set(ids), what="every message to be in Redis")
        finally:
            with deployment.database.transaction() as session:
                session.execute(text("ALTER TABLE away RENAME TO decisions"))
    assert len(deployment.decided(ids)) == 40


def test_a_broker_that_belongs_to_the_platform_is_left_alone(submit, monkeypatch):
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://127.0.0.1:1/0")
    assert submit(InlineBytes(PIZZA))[0].action == "allow"


def test_what_no_policy_can_decide_is_refused_and_shown(deployment):
    before = len(refusals(deployment))
    with deployment.client() as client:
        unknown = client.submit(InlineBytes(PIZZA), policy="uploads")
    send(deployment, id="extra-field", source={"kind": "file", "path": "a.jpg"}, colour="red")
    send(deployment, id="wrong-type", source={"kind": "file", "path": 7})
    send(deployment, ["cat.jpg"], id="positional")
    send(deployment, id="named-task", task="x", source={"kind": "file", "path": "a.jpg"})
    send(deployment, id="odd-name", **{"a\0b": 1}, source={"kind": "file", "path": "a.jpg"})
    send(deployment, source={"kind": "file", "path": "no-id.jpg"})
    errors = deployment.refused(before + 6)
    assert "uploads" in errors[unknown]
    assert "stickers" in errors[unknown]
    assert "unknown field 'colour'" in errors["extra-field"]
    assert "field 'source.path' must be text, not a number" in errors["wrong-type"]
    assert "positional" in errors["positional"]
    assert "unknown field 'task'" in errors["named-task"]
    assert r"unknown field 'a\x00b'" in errors["odd-name"]


@pytest.mark.parametrize("body", ["null", "7", "[1]", '["too", {}, "short"]', "[[], {}]", "not JSON"])
def test_a_body_that_is_no_tasks_drives_no_worker_out(deployment, submit, body):
    message = {
        "body": base64.b64encode(body.encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"task": TASK, "id": body},
        "properties": {
            "body_encoding": "base64",
            "delivery_tag": f"tag-{body}",
            "delivery_info": {"exchange": "", "routing_key": deployment.settings.queue},
        },
    }
    with redis.Redis.from_url(deployment.settings.broker_url) as connection:
        connection.lpush(deployment.settings.queue, json.dumps(message))
        (decision,) = submit(InlineBytes(PIZZA))
        assert decision.action == "allow"
        tags = [tag.decode() for tag in connection.hkeys("unacked")]
    assert f"tag-{body}" not in tags


@pytest.mark.parametrize("text", ["", "not JSON", "null", "7", "[1]", "{}", '{"properties": 7}', b"\xff\xfe"])
def test_text_that_is_no_message_drives_no_worker_out(deployment, submit, text):
    log = deployment.folder / "worker.log"
    before = log.read_text().count("a message is dropped (not_a_message)")
    with redis.Redis.from_url(deployment.settings.broker_url) as connection:
        connection.lpush(deployment.settings.queue, text)
    assert submit(InlineBytes(PIZZA))[0].action == "allow"
    wait_for(
        lambda: log.read_text().count("a message is dropped (not_a_message)") == before + 1,
        what="the worker to say that it dropped it",
    )
    assert "Unrecoverable" not in log.read_text()


def test_a_refused_submission_is_decided_when_it_comes_again_in_order(deployment, submit):
    send(deployment, id="second-try", source={"kind": "file"})
    wait_for(lambda: "second-try" in refusals(deployment), what="the refusal")
    (decision,) = submit(InlineBytes(PIZZA), id="second-try")
    assert decision.action == "allow"
    assert "second-try" not in refusals(deployment)


def test_a_saved_policy_is_live_without_restart_and_a_broken_one_is_not(deployment, submit):
    good = deployment.policy_file.read_text(encoding="utf-8")
    try:
        deployment.policy_file.write_text(good.replace("\nlabels:\n", "\nlabels:\n  weapons: [\n"))
        log = deployment.folder / "worker.log"
        wait_for(lambda: "stickers.yaml:" in log.read_text(), what="the refusal in the worker's log")
        (decision,) = submit(InlineBytes(SWORDS))
        assert "weapons" in decision.flagged
        gambling = "\nlabels:\n  gambling:\n    prompts: [a slot machine, dice]\n    review: 0.5\n"
        deployment.policy_file.write_text(good.replace("\nlabels:\n", gambling))
        wait_for(
            lambda: "gambling" in labels_of(submit(InlineBytes(PIZZA))[0]), what="the new policy to be live"
        )
    finally:
        deployment.policy_file.write_text(good)
        wait_for(lambda: "gambling" not in labels_of(submit(InlineBytes(PIZZA))[0]), what="the old policy")


def test_moderate_decisions_shows_what_was_decided(deployment, submit, moderate):
    submit(InlineBytes(SWORDS), reference="duel.webp")
    url = deployment.settings.database_url
    table = moderate("decisions", "--label", "weapons", "--limit", 5, database_url=url)
    assert "duel.webp" in table.out
    assert "beat" in table.out
    assert moderate("decisions", "--action", "allow", database_url=url).out.count("duel.webp") == 0
    assert '"reference": "duel.webp"' in moderate("decisions", "--json", database_url=url).out


def refusals(deployment):
    with deployment.database.reading() as session:
        return dict(submissions.refused(session, limit=100))


def labels_of(decision: decisions.RecordedDecision) -> list[str]:
    return [score.label for score in decision.scores]
