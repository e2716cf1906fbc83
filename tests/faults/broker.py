"""Faults of the broker: Redis killed, restarted, frozen, flushed, full, and its connections cut."""

import signal
import time
from collections.abc import Iterator
from contextlib import suppress

import redis
from faults.fault import Infliction, fault
from faults.load import Load
from faults.scene import Scene

AWAY_SECONDS = 3
FROZEN_SECONDS = 30


def _restarted(number: int) -> Infliction:
    def inflict(scene: Scene, load: Load) -> Iterator[None]:
        with load.flowing():
            load.wait_for_decisions(20)
            load.strike()
            scene.redis.end(number)
            time.sleep(AWAY_SECONDS)
            scene.redis.start()
            time.sleep(2)
        yield

    return inflict


fault("Redis killed and started again")(_restarted(signal.SIGKILL))
fault("Redis stopped in order and started again")(_restarted(signal.SIGTERM))


@fault("every connection to Redis cut, five times")
def cut(scene: Scene, load: Load) -> Iterator[None]:
    with load.flowing(), scene.redis.connect() as connection:
        load.wait_for_decisions(20)
        for _ in range(5):
            load.strike()
            connection.client_kill_filter(_type="normal", skipme=True)
            time.sleep(1)
    yield


@fault("Redis frozen for 30 s")
def frozen(scene: Scene, load: Load) -> Iterator[None]:
    with load.flowing():
        load.wait_for_decisions(20)
        load.strike()
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
    load.strike()
    with scene.redis.connect() as connection:
        waiting = scene.count_messages()
        connection.flushall()
    load.notes.append(f"{waiting} messages flushed")
    yield
    assert waiting, "the queue was empty: the fault shows nothing"


@fault("Redis out of memory for 10 s")
def full(scene: Scene, load: Load) -> Iterator[None]:
    with scene.redis.connect() as connection, load.flowing():
        load.wait_for_decisions(20)
        load.strike()
        connection.config_set("maxmemory", 1)
        try:
            time.sleep(10)
        finally:
            with suppress(redis.RedisError):
                connection.config_set("maxmemory", 0)
    yield
