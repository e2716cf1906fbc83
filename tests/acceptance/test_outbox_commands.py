"""What an operator sees of what the platform was told, and how it is told after all."""

import base64
import json
import re
from datetime import timedelta

import pytest
import redis
from moderation_client.webhooks import new_secret, read_secrets, verify
from support.decided import add_events, decide
from support.receiver import DROP, HANG, receiving

from worker.domain.operations.event_type import EventType
from worker.store.engine.database import Database
from worker.store.notifications import deliveries, outbox

URL = "https://platform.example/moderated?token=5ec7e7"
TASK = {"task": "posts.moderated", "queue": "posts"}


@pytest.fixture
def database(sqlite_database: Database) -> Database:
    """Return a database in which one event waits, one is delivered and one is given up."""
    add_events(sqlite_database, decide(sqlite_database), URL, TASK, URL)
    with sqlite_database.transaction() as session:
        _, kept, lost = deliveries.take(
            session, limit=3, in_flight={}, at_once=3, lease=timedelta(seconds=60)
        )
        deliveries.delivered(session, kept)
        deliveries.give_up(session, lost, "platform.example answered 410: it does not want this event")
    return sqlite_database


@pytest.mark.usefixtures("database")
def test_list_shows_whom_each_event_is_for_and_how_it_stands(moderate):
    result = moderate("outbox", "list")
    assert result.exit_code == 0
    assert "https://platform.example/moderated" in result.out
    assert "the task posts.moderated on the queue posts" in result.out
    assert "answered 410" in result.out
    assert "3 shown; in all: 1 pending, 1 delivered, 1 given_up" in result.out
    assert "the oldest pending event has waited for" in result.out
    assert "moderate outbox replay --given-up" in result.err
    found = moderate("outbox", "list", "--state", "given_up", "--json", "--submission", "upload-1")
    (event,) = json.loads(found.out)
    assert (event["state"], event["type"], event["attempts"]) == ("given_up", "decision.made", 1)
    assert moderate("outbox", "list", "--submission", "none", "--json").out == "[]\n"
    assert len(json.loads(moderate("outbox", "list", "--json", "--limit", 2).out)) == 2
    assert "5ec7e7" not in result.out + result.err + found.out


def test_replay_lets_events_be_told_again(moderate, database):
    (event,) = json.loads(moderate("outbox", "list", "--state", "delivered", "--json").out)
    unknown = moderate("outbox", "replay", event["event"], "evt_none")
    assert (unknown.exit_code, "there is no event 'evt_none'" in unknown.err) == (2, True)
    result = moderate("outbox", "replay", event["event"])
    assert (result.exit_code, result.out) == (0, "1 to be sent by the workers\n")
    assert moderate("outbox", "replay", "--given-up").out == "1 to be sent by the workers\n"
    assert moderate("outbox", "replay", "--given-up").out == "nothing was given up\n"
    with database.reading() as session:
        assert outbox.count_by_state(session) == {"pending": 3}


@pytest.mark.parametrize("arguments", [[], ["evt_1", "--given-up"]])
def test_replay_wants_to_know_what(moderate, arguments):
    result = moderate("outbox", "replay", *arguments)
    assert (result.exit_code, "name events, or use --given-up" in result.err) == (2, True)


def test_the_outbox_needs_its_tables(moderate):
    for command in (["list"], ["replay", "--given-up"]):
        result = moderate("outbox", *command)
        assert (result.exit_code, "moderate db upgrade" in result.err) == (3, True)


def test_a_new_secret_is_printed_alone(moderate):
    result = moderate("outbox", "new-secret")
    assert result.exit_code == 0
    assert len(read_secrets(result.out)) == 1
    assert "MODERATION_WEBHOOK_SECRETS" in result.err


@pytest.mark.parametrize("command", [["list"], ["replay"], ["new-secret"], ["send-test"]], ids=" ".join)
def test_help_says_how_the_outbox_is_used_and_how_it_ends(moderate, command):
    result = moderate("outbox", *command, "--help")
    assert result.exit_code == 0
    assert f"moderate outbox {' '.join(command)}" in result.out
    assert "Exit codes" in result.out


def test_send_test_shows_the_answer_of_a_receiver_on_this_machine(moderate):
    secret = new_secret()
    with receiving(204) as receiver:
        place = {"webhook_hosts": f"127.0.0.1:{receiver.port}", "webhook_secrets": secret}
        url = f"http://127.0.0.1:{receiver.port}/moderated?token=5ec7e7"
        for kind in EventType:
            result = moderate("outbox", "send-test", url, "--type", kind, **place)
            assert result.exit_code == 0, result.err
            assert re.fullmatch(
                rf"{kind} evt_test_\w+ to http://127.0.0.1:{receiver.port}/moderated: answered 204 after \d+ ms\n",
                result.out,
            )
    for kind, event, headers, body in zip(
        EventType, receiver.events, receiver.headers, receiver.bodies, strict=True
    ):
        assert (event["type"], event["test"], event["id"]) == (kind, True, headers["webhook-id"])
        # No real submission has this id.
        assert event["submission"].startswith("test_")
        assert verify(secret, headers, body, now=int(headers["webhook-timestamp"]))


@pytest.mark.parametrize(
    ("answer", "exit_code", "words"),
    [
        (401, 1, "127.0.0.1 answered 401"),
        (410, 1, "answered 410: it does not want this event"),
        (307, 1, "answered 307, a redirect, which is not followed"),
        (503, 1, "answered 503"),
        (DROP, 3, "127.0.0.1 does not answer"),
        (HANG, 3, "did not answer within 0.5 s"),
    ],
)
def test_send_test_says_what_went_wrong(moderate, answer, exit_code, words):
    with receiving(answer) as receiver:
        place = {"webhook_hosts": f"127.0.0.1:{receiver.port}", "webhook_secrets": new_secret()}
        url = f"http://127.0.0.1:{receiver.port}/"
        result = moderate("outbox", "send-test", url, **place, webhook_seconds=0.5)
    assert (result.exit_code, words in result.err) == (exit_code, True), result.err
    assert "not delivered after" in result.out


@pytest.mark.parametrize(
    ("url", "hosts", "words"),
    [
        (
            "http://127.0.0.1:9/",
            "none",
            "MODERATION_WEBHOOK_HOSTS lists the allowed hosts; add 127.0.0.1:9 ",
        ),
        ("http://[::1]:9/", "any-public", "add [::1]:9 to allow this one"),
        ("http://localhost/", "any-public", "add localhost:80 to allow this one"),
        ("http://169.254.169.254/", "169.254.169.254:80", "no setting allows this address"),
        ("http://[::ffff:a9fe:a9fe]/", "[::ffff:169.254.169.254]:80", "no setting allows this address"),
        ("http://0.0.0.0:9/", "0.0.0.0:9", "no setting allows this address"),
        ("http://2130706433:9/", "any-public", "is not an address"),
        ("not-a-url", "any-public", "a URL begins with"),
    ],
)
def test_send_test_goes_nowhere_that_is_not_allowed(moderate, url, hosts, words):
    result = moderate("outbox", "send-test", url, webhook_hosts=hosts, webhook_secrets=new_secret())
    assert (result.exit_code, result.out) == (2, "")
    assert words in result.err


def test_send_test_needs_a_secret(moderate):
    result = moderate("outbox", "send-test", "http://127.0.0.1:9/", webhook_hosts="127.0.0.1:9")
    assert (result.exit_code, "there is no secret to sign them with" in result.err) == (2, True)


def test_submit_says_whom_to_tell(moderate, redis_url, tmp_path):
    (tmp_path / "media").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / "media" / name).write_bytes(b"x")
    place = {"broker_url": redis_url, "queue": f"test-{tmp_path.name}"}
    with redis.Redis.from_url(redis_url) as connection:
        for pictures, options, expected in (
            (["a.png"], ["--callback", URL], {"url": URL}),
            (["a.png", "b.png"], ["--callback-task", TASK["task"], "--callback-queue", TASK["queue"]], TASK),
        ):
            result = moderate("submit", *(tmp_path / "media" / name for name in pictures), *options, **place)
            assert result.exit_code == 0, result.err
            assert "5ec7e7" not in result.out + result.err
            message = json.loads(connection.rpop(place["queue"]))
            assert "5ec7e7" not in json.dumps(message["headers"])
            sent = json.loads(base64.b64decode(message["body"]))[1]
            assert {json.dumps(one["callback"]) for one in sent.get("submissions", [sent])} == {
                json.dumps(expected)
            }


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--callback-task", "posts.moderated"], "--callback-task and --callback-queue go together"),
        (["--callback", URL, "--callback-task", "a", "--callback-queue", "b"], "exclude each other"),
        (["--callback", "ftp://platform.example/?5ec7e7"], "callback: a URL begins with"),
        (["--callback-task", "moderation.check", "--callback-queue", "b"], "belongs to this service"),
    ],
)
def test_submit_refuses_whom_nobody_could_tell(moderate, options, words):
    result = moderate("submit", "https://cdn.example.com/cat.jpg", *options)
    assert result.exit_code == 2
    assert words in result.err
    assert "5ec7e7" not in result.err
