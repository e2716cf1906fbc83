"""Whatever a worker drops is counted, shown by `moderate status` and kept; what Go and PHP send is accepted."""

import base64
import json
from collections.abc import Iterator
from uuid import uuid4

import pytest
import redis
import requests
from moderation_client.messages import TASK
from support.deployment import Deployment, deploy, wait_for
from support.pictures import drawing, encoded

from worker.domain.submissions.dropped_message import DroppedMessage, DropReason
from worker.stage.redis_server import free_port
from worker.store.submissions import dropped_messages

CAT = encoded(drawing(40, 40), "PNG")
SECRET = "hunter2"


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("deployment")
    made = deploy(folder, redis_url, metrics_port=free_port(), concurrency=2)
    made.save_picture("cat.png", CAT)
    with made.worker():
        yield made
    made.database.dispose()


def envelope(deployment: Deployment, body: object, **changes: object) -> str:
    text = body if isinstance(body, str) else json.dumps(body)
    message = {
        "body": base64.b64encode(text.encode()).decode(),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {},
        "properties": {
            "body_encoding": "base64",
            "correlation_id": "c",
            "delivery_mode": 2,
            "delivery_tag": str(uuid4()),
            "delivery_info": {"exchange": "celery", "routing_key": deployment.settings.queue, "priority": 0},
            "reply_to": "r",
        },
    }
    return json.dumps({name: value for name, value in (message | changes).items() if value is not None})


def push(deployment: Deployment, *texts: str | bytes) -> None:
    with redis.Redis.from_url(deployment.settings.broker_url) as connection:
        connection.lpush(deployment.settings.queue, *texts)


def stored(deployment: Deployment) -> list[DroppedMessage]:
    with deployment.database.reading() as session:
        return dropped_messages.newest(session, limit=100)


def kept(deployment: Deployment, count: int) -> list[DroppedMessage]:
    def enough() -> list[DroppedMessage]:
        found = stored(deployment)
        return found if len(found) >= count else []

    return wait_for(enough, what=f"{count} dropped messages, see {deployment.folder}")


def test_protocol_1_and_content_types_of_many_clients_are_accepted(deployment):
    def fields(name: str) -> dict[str, object]:
        return {"id": name, "source": {"kind": "file", "path": "cat.png"}}

    def one(name: str, **more: object) -> dict[str, object]:
        return {"id": str(uuid4()), "task": TASK, "args": [], "kwargs": fields(name)} | more

    headers = {"task": TASK, "id": "x"}
    push(
        deployment,
        envelope(deployment, one("go", retries=0, eta=None, expires=None)),
        envelope(deployment, one("no-headers", args=None), headers=None),
        envelope(deployment, one("naive-eta", eta="2026-01-01T00:00:00", args={})),
        envelope(deployment, one("utc-eta", eta="2026-01-01T00:00:00Z", expires="2999-01-01T00:00:00+00:00")),
        envelope(deployment, [[], fields("charset"), {}], headers=headers).replace(
            "application/json", "Application/JSON; charset=UTF-8"
        ),
        envelope(deployment, [None, fields("no-type"), None], headers=headers, **{"content-type": None}),
        envelope(deployment, [[], fields("no-encoding"), {}], headers=headers, **{"content-encoding": None}),
    )
    ids = ["go", "no-headers", "naive-eta", "utc-eta", "charset", "no-type", "no-encoding"]
    assert len(deployment.decided(ids)) == len(ids)


def test_whatever_is_dropped_is_counted_shown_and_kept(deployment, moderate):
    settings = deployment.settings
    good = [[], {"id": "x", "source": {"kind": "url", "url": f"https://u:{SECRET}@h/a?sig={SECRET}"}}, {}]
    task = {"task": TASK, "id": "x"}
    texts = [
        f"not JSON: https://h/a.png?sig={SECRET} \x1b[31m",
        b"\xff\xfe",
        envelope(deployment, good),
        envelope(deployment, {"task": "os.system", "id": "1", "kwargs": {}}),
        envelope(deployment, good, headers=task | {"task": "moderation.unknown"}),
        envelope(deployment, good, headers=task, **{"content-type": "application/x-python-serialize"}),
        envelope(deployment, [[], {"source": {"kind": "file", "path": "cat.png"}}, {}], headers=task),
        envelope(deployment, [[], {"id": "late"}, {}], headers=task | {"expires": "2020-01-01T00:00:00Z"}),
    ]
    sent = {json.loads(text)["properties"]["delivery_tag"] for text in texts[2:]}
    push(deployment, *texts)
    found = kept(deployment, 8)
    reasons = sorted(one.reason for one in found)
    assert reasons == sorted(
        [DropReason.NOT_A_MESSAGE, DropReason.UNKNOWN_TASK] * 2
        + [DropReason.NOT_A_TASK, DropReason.CONTENT_TYPE, DropReason.NO_ID, DropReason.EXPIRED]
    )
    expired = next(one for one in found if one.reason is DropReason.EXPIRED)
    assert "late" in expired.excerpt
    log = (deployment.folder / "worker.log").read_text()
    assert SECRET not in str(found) + log
    assert "Traceback" not in log
    with redis.Redis.from_url(settings.broker_url) as connection:
        tags = {tag.decode() for tag in connection.hkeys("unacked")}
    assert not tags & sent, "what is dropped is not acknowledged"

    metrics = requests.get(f"http://127.0.0.1:{settings.metrics_port}/metrics", timeout=10).text
    assert 'moderation_dropped_messages_total{reason="unknown_task"} 2.0' in metrics
    places = {
        "broker_url": settings.broker_url,
        "queue": settings.queue,
        "database_url": settings.database_url,
    }
    status = moderate("status", **places)
    assert status.exit_code == 1
    assert "8 messages dropped since" in status.out
    assert json.loads(moderate("status", "--json", **places).out)["database"]["dropped"]["last_day"] == {
        "not_a_message": 2,
        "unknown_task": 2,
        "not_a_task": 1,
        "content_type": 1,
        "no_id": 1,
        "expired": 1,
    }
    shown = moderate("dropped", "list", database_url=settings.database_url)
    assert shown.exit_code == 0
    assert "unknown_task" in shown.out
    assert "\x1b[31m" not in shown.out
    assert len(json.loads(moderate("dropped", "list", "--json", database_url=settings.database_url).out)) == 8


def test_a_message_whose_body_is_no_text_is_dropped_for_good(deployment):
    """It was never acknowledged: keeping it failed, so that each worker got it again and again."""
    sent, before = set(), len(stored(deployment))
    for body in (None, 42, True, [1, {}], {"id": "x"}, ""):
        message = json.loads(envelope(deployment, "{}", headers={"task": TASK, "id": "x"}))
        message["body"] = body
        del message["properties"]["body_encoding"]
        push(deployment, json.dumps(message))
        sent.add(message["properties"]["delivery_tag"])

    def is_acknowledged() -> bool:
        return not sent & {tag.decode() for tag in connection.hkeys("unacked")}

    with redis.Redis.from_url(deployment.settings.broker_url) as connection:
        # Long before Redis would redeliver what is not acknowledged.
        wait_for(is_acknowledged, what="every message to be acknowledged", seconds=20)
    assert len(kept(deployment, before + len(sent))) == before + len(sent)
