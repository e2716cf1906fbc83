"""Message faults: duplicate, conflicting, slow, malformed, huge, and very many messages."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from uuid import uuid4

from faults.fault import EMPTY_SECONDS, fault
from faults.load import PICTURE, Load
from faults.scene import Scene
from moderation_client import Submission
from moderation_client.messages import TASK, TASK_MANY
from sqlalchemy import func, select
from support.deployment import wait_for

from worker.store.engine.tables import SubmissionConflictRow

NEIGHBOURS = 10
#: Longer than Celery's visibility timeout, and than four leases.
SLOW_SECONDS = 70
BACKLOG = 20_000
#: A message that is still there after this time makes every worker exit that takes it.
TAKEN_SECONDS = 20
ENDLESS = "it is redelivered, and every worker exits because of"
#: How much the memory of a worker may grow while it processes a backlog.
GROWTH_BYTES = 300 * 2**20


@fault("each message delivered five times at once")
def five_times(scene: Scene, load: Load) -> Iterator[None]:
    submissions = load.submissions(20)
    load.mark_injection()
    load.accept_all(submissions)

    def deliver() -> None:
        for one in submissions:
            scene.client.submit(one.source, id=one.id)

    _all_at_once(deliver, times=4)
    yield


@fault("the same id with another picture")
def another_picture(scene: Scene, load: Load) -> Iterator[None]:
    first, second = load.submissions(NEIGHBOURS), load.submissions(NEIGHBOURS)
    load.mark_injection()
    load.accept_all(first)
    for one, other in zip(first, second, strict=True):
        scene.client.submit(other.source, id=one.id)
    yield
    conflicts = select(func.count()).where(SubmissionConflictRow.submission_id.in_(one.id for one in first))

    def all_recorded() -> bool:
        with scene.deployment.database.reading() as session:
            return session.scalar(conflicts) == NEIGHBOURS

    # The first ones can be decided before the last of the others is received.
    wait_for(all_recorded, what=f"{NEIGHBOURS} conflicts to be recorded", seconds=TAKEN_SECONDS)


@fault(f"a job that takes {SLOW_SECONDS} s", patience_seconds=240)
def slow(scene: Scene, load: Load) -> Iterator[None]:
    load.mark_injection()
    load.accept(1, f"slow-{SLOW_SECONDS}")
    load.accept(NEIGHBOURS)
    yield
    starts = _count_starts(scene, f"{load.prefix}.slow")
    load.notes.append(f"started {starts} times")
    assert starts == 1, f"it was started {starts} times"


def _count_starts(scene: Scene, prefix: str) -> int:
    return len(list(scene.pool.notes.glob(f"{prefix}*")))


def _note_exits(scene: Scene, load: Load, what: str) -> None:
    """Wait until a message was taken, and note if workers exit because of it, once or repeatedly."""
    try:
        wait_for(lambda: not scene.count_messages(), what=f"{what} to be taken", seconds=TAKEN_SECONDS)
    except AssertionError:
        load.notes.append(f"{ENDLESS} {what}")
        with scene.redis.connect() as connection:
            connection.flushall()
    time.sleep(0.3)
    if len(scene.pool.ready) < len(scene.pool.workers):
        load.notes.append(f"a worker exits because of {what}")
        scene.pool.wait_until_ready()


def _wait_until_redis_is_empty(scene: Scene) -> None:
    """Wait until Redis holds no messages of earlier faults, so that exits can be attributed."""
    wait_for(lambda: not scene.count_messages(), what="Redis to be empty", seconds=EMPTY_SECONDS)


def _require_workers_survive(load: Load) -> None:
    endless = [note.removeprefix(ENDLESS) for note in load.notes if note.startswith(ENDLESS)]
    assert not endless, f"messages that no worker survives:{','.join(endless)}"


@fault("malformed messages of every kind")
def malformed(scene: Scene, load: Load) -> Iterator[None]:
    queue = scene.deployment.settings.queue
    _wait_until_redis_is_empty(scene)
    load.mark_injection()
    with scene.redis.connect() as connection:
        for what, raw in _malformed(queue).items():
            connection.lpush(queue, raw)
            load.accept(1)
            _note_exits(scene, load, what)
        for n, fields in enumerate(_wrong_fields()):
            submission_id = f"{load.prefix}.wrong.{n}"
            connection.lpush(queue, _message(queue, kwargs={"id": submission_id} | fields))
            load.refused.add(submission_id)
            load.accept(1)
    yield
    _require_workers_survive(load)


@fault("a message of 50 MB, and one 10,000 deep")
def enormous(scene: Scene, load: Load) -> Iterator[None]:
    queue = scene.deployment.settings.queue
    large = {"kind": "bytes", "base64": "A" * 50_000_000}
    deep = "[" * 10_000 + "]" * 10_000
    _wait_until_redis_is_empty(scene)
    load.mark_injection()
    with scene.redis.connect() as connection:
        connection.lpush(queue, _message(queue, kwargs={"id": f"{load.prefix}.large.0", "source": large}))
        _note_exits(scene, load, "50 MB")
        connection.lpush(queue, _message(queue, text=f'[[], {{"id": {deep}}}, {{}}]'))
        _note_exits(scene, load, "fields 10,000 deep")
        connection.lpush(queue, deep)
        _note_exits(scene, load, "no message, but 10,000 deep")
    load.refused.add(f"{load.prefix}.large.0")
    load.accept(NEIGHBOURS)
    yield
    _require_workers_survive(load)


@fault(f"a backlog of {BACKLOG:,}", patience_seconds=900)
def backlog(scene: Scene, load: Load) -> Iterator[None]:
    pictures = [one.source for one in load.submissions(50, "shared", PICTURE)]
    before = max(worker.memory_bytes for worker in scene.pool.wait_until_ready())
    with _highest_memory(scene) as highest:
        load.mark_injection()
        for start in range(0, BACKLOG, 640):
            numbers = range(start, min(start + 640, BACKLOG))
            load.accept_all([_of_backlog(load, n, pictures[n % 50]) for n in numbers])
        yield
    grown = max(highest) - before
    load.notes.append(f"a worker grew from {before / 2**20:.0f} to {max(highest) / 2**20:.0f} MiB")
    assert grown < GROWTH_BYTES, f"a worker grew by {grown / 2**20:.0f} MiB"


def _of_backlog(load: Load, number: int, source: Any) -> Submission:
    return Submission(f"{load.prefix}.backlog.{number}", source)


@contextmanager
def _highest_memory(scene: Scene) -> Iterator[list[int]]:
    highest, ended = [0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.5):
            highest.append(max(worker.memory_bytes for worker in scene.pool.workers))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield highest
    finally:
        ended.set()
        thread.join()


def _all_at_once(work: Any, times: int) -> None:
    threads = [threading.Thread(target=work) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# Malformed messages.


def _message(
    queue: str, *, text: str | None = None, kwargs: Any = None, lacks: str = "", **changes: Any
) -> str:
    """Return a message of Celery's protocol 2, as stored in Redis, with fields changed or missing."""
    text = text if text is not None else json.dumps([[], kwargs, {}])
    identifier = str(uuid4())
    message = {
        "body": base64.b64encode(text.encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"lang": "py", "task": TASK, "id": identifier, "root_id": identifier, "group": None},
        "properties": {
            "correlation_id": identifier,
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": str(uuid4()),
        },
    }
    return json.dumps({name: value for name, value in (message | changes).items() if name != lacks})


def _malformed(queue: str) -> dict[str, str | bytes]:
    """Return messages without a submission, by their defect."""
    good = {"source": {"kind": "file", "path": "x.png"}}
    absent = ("body", "properties", "headers")
    lacking = {name: _message(queue, kwargs=good, lacks=name) for name in absent}
    return {
        "not text": b"\xff\xfe\0\x01",
        "nothing": b"",
        "not JSON": "decide this, please",
        "null": "null",
        "a number": "42",
        "a list": "[1, 2, 3]",
        "an empty object": "{}",
        **{f"no {name}": raw for name, raw in lacking.items()},
        "no delivery tag": _message(queue, kwargs=good, properties={"delivery_info": {"routing_key": queue}}),
        "no delivery info": _message(queue, kwargs=good, properties={"delivery_tag": str(uuid4())}),
        **{f"body: {what}": _message(queue, text=text) for what, text in _BODIES.items()},
        **{
            f"headers: {what}": _message(queue, kwargs=good, **changed)
            for what, changed in _changes().items()
        },
    }


#: Invalid bodies; Celery expects `[arguments, fields, more]`.
_BODIES: Final = {
    "not JSON": "decide this",
    "a number": "42",
    "a short list": "[[]]",
    "invalid fields": "[[], 7, {}]",
    "invalid arguments": "[7, {}, {}]",
    "an invalid third part": "[[], {}, 7]",
    "positional": '[["cat.jpg"], {}, {}]',
    "another id than text": '[[], {"id": 7}, {}]',
    "an endless id": json.dumps([[], {"id": "x" * 5_000}, {}]),
    "names of our own parameters": '[[], {"task": 1, "self": 2, "message": 3}, {}]',
    "not a number": '[[], {"context": {"a": NaN}}, {}]',
}


def _changes() -> dict[str, dict[str, Any]]:
    """Return invalid parts of the message around the body."""
    task = {"lang": "py", "task": TASK, "id": str(uuid4())}
    many = {"body": base64.b64encode(b'[[], {"submissions": [1, null, {}]}, {}]').decode()}
    return {
        "pickle": {"content-type": "application/x-python-serialize"},
        "an unknown type": {"content-type": "text/x-unknown"},
        "an unknown encoding": {"content-encoding": "klingon"},
        "a body that is not base64": {"body": "%%%"},
        "a body that is an object": {"body": {"id": 1}},
        "an unknown task": {"headers": task | {"task": "os.system"}},
        "no task": {"headers": {"lang": "py", "id": str(uuid4())}},
        "no id": {"headers": {"lang": "py", "task": TASK}},
        "a task that is no text": {"headers": task | {"task": 7}},
        "an odd time to begin": {"headers": task | {"eta": "tomorrow"}},
        "an odd time to end": {"headers": task | {"expires": "yesterday"}},
        "an odd number of retries": {"headers": task | {"retries": "many"}},
        "an odd time limit": {"headers": task | {"timelimit": "long"}},
        "an odd callback": {"headers": task | {"errbacks": [7], "callbacks": 7}},
        "invalid entries of a batch": {"headers": task | {"task": TASK_MANY}} | many,
    }


def _wrong_fields() -> list[dict[str, Any]]:
    """Return invalid fields of messages that have a submission id, one for each defect."""
    file = {"kind": "file", "path": "x.png"}
    return [
        {},
        {"source": None},
        {"source": []},
        {"source": {"kind": "file"}},
        {"source": {"kind": "file", "path": 7}},
        {"source": {"kind": "file", "path": "a\0b"}},
        {"source": {"kind": "smoke", "signal": "x"}},
        {"source": {"kind": "bytes", "base64": "%%%"}},
        {"source": file, "colour": "red"},
        {"source": file, "a\0b": 1},
        {"source": file, "policy": 7},
        {"source": file, "policy": "no-such-policy"},
        {"source": file, "sha256": "abc"},
        {"source": file, "context": [1]},
        {"source": file, "callback": "https://example.com"},
        {"source": file, "reference": {"a": 1}},
    ]
