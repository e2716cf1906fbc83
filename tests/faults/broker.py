"""Broker faults: Redis killed, restarted, frozen, flushed, or answering with errors; connections cut."""

import signal
import time
from collections.abc import Iterator

from faults.fault import Injection, fault
from faults.load import Load
from faults.scene import Scene
from sqlalchemy import select
from support.deployment import wait_for
from support.refusals import ERROR_REPLIES, Refusal

from worker.store.engine.tables import DecisionRow

DOWN_SECONDS = 3
REFUSED_SECONDS = 10
FROZEN_SECONDS = 30


def _killed_and_restarted(number: int) -> Injection:
    def inject(scene: Scene, load: Load) -> Iterator[None]:
        with load.flowing():
            load.wait_for_decisions(20)
            load.mark_injection()
            scene.redis.end(number)
            time.sleep(DOWN_SECONDS)
            scene.redis.start()
            time.sleep(2)
        yield

    return inject


fault("Redis killed and started again")(_killed_and_restarted(signal.SIGKILL))
fault("Redis stopped in order and started again")(_killed_and_restarted(signal.SIGTERM))


@fault("every connection to Redis cut, five times")
def cut(scene: Scene, load: Load) -> Iterator[None]:
    with load.flowing(), scene.redis.connect() as connection:
        load.wait_for_decisions(20)
        for _ in range(5):
            load.mark_injection()
            connection.client_kill_filter(_type="normal", skipme=True)
            time.sleep(1)
    yield


@fault("Redis frozen for 30 s")
def frozen(scene: Scene, load: Load) -> Iterator[None]:
    with load.flowing():
        load.wait_for_decisions(20)
        load.mark_injection()
        scene.redis.signal(signal.SIGSTOP)
        try:
            time.sleep(FROZEN_SECONDS)
        finally:
            scene.redis.signal(signal.SIGCONT)
        time.sleep(2)
    yield


@fault("Redis flushed with a full queue")
def flushed(scene: Scene, load: Load) -> Iterator[None]:
    load.accept(400)
    load.mark_injection()
    with scene.redis.connect() as connection:
        waiting = scene.count_messages()
        connection.flushall()
    load.notes.append(f"{waiting} messages flushed")
    yield
    assert waiting, "the queue was empty: the fault had no effect"


def _refusing(refusal: Refusal) -> Injection:
    def inject(scene: Scene, load: Load) -> Iterator[None]:
        exits_before = len(scene.pool.unexpected_exits)
        with scene.redis.connect() as connection, load.flowing(bare=True):
            load.wait_for_decisions(20)
            load.mark_injection()
            with refusal(connection):
                time.sleep(REFUSED_SECONDS)
            time.sleep(2)
        yield
        wait_for(lambda: not _undecided(scene, load), what="every bare message to be decided", seconds=150)
        assert len(scene.pool.unexpected_exits) == exits_before, "a worker exited because of an error reply"

    return inject


def _undecided(scene: Scene, load: Load) -> set[str]:
    with scene.deployment.database.reading() as session:
        decided = select(DecisionRow.submission_id).where(DecisionRow.submission_id.in_(load.bare))
        return load.bare - set(session.scalars(decided))


for _name, _refusal in ERROR_REPLIES.items():
    fault(f"Redis answers {_name} for {REFUSED_SECONDS} s")(_refusing(_refusal))
