"""Worker faults: processes killed at every moment, and stopped by SIGTERM."""

import random
import signal
import time
from collections.abc import Iterator

from faults.callbacks import platform, require_all_delivered, wait_until_delivered
from faults.fault import Injection, fault
from faults.load import Load
from faults.scene import Scene
from support.deployment import wait_for

from worker.store.engine.tables import SubmissionRow

NEIGHBOURS = 20


@fault("worker killed at random moments under load", rounds=20, without_pause=True)
def killed_at_random(scene: Scene, load: Load) -> Iterator[None]:
    dice = random.Random(load.prefix)
    with platform(load, 200) as receiver:
        with load.flowing(bare=True):
            for _ in range(load.rounds):
                scene.pool.wait_until_ready()
                time.sleep(dice.uniform(0.2, 2.0))
                load.mark_injection()
                dice.choice(scene.pool.ready).send_signal(signal.SIGKILL)
        yield
        wait_until_delivered(load)
        require_all_delivered(load, receiver)
    quarantined = load.count_rows(SubmissionRow.crashes >= 3)
    if quarantined:
        load.notes.append(f"{quarantined} harmless pictures were claimed in three crashes: quarantined")


def _killed_at(moment: str) -> Injection:
    def inject(scene: Scene, load: Load) -> Iterator[None]:
        load.accept(NEIGHBOURS)
        load.mark_injection()
        (victim,) = load.accept(1, f"{moment}-1")
        load.accept(NEIGHBOURS)
        yield
        assert (scene.pool.notes / f"{victim}.0").exists(), "no worker died: the fault had no effect"

    return inject


fault("worker killed right after the claim", rounds=3)(_killed_at("die-judging"))
fault("worker killed before the commit", rounds=3)(_killed_at("die-before-commit"))
fault("worker killed between commit and acknowledgement", rounds=3)(_killed_at("die-after-commit"))


@fault("idle workers killed, then a submission at once", rounds=5, without_pause=True)
def idle_killed(scene: Scene, load: Load) -> Iterator[None]:
    for _ in range(load.rounds):
        idle = scene.pool.wait_until_ready()
        time.sleep(1)
        load.mark_injection()
        for worker in idle:
            worker.send_signal(signal.SIGKILL)
        load.send(2)
        load.accept(1)
        load.accept(1)
    yield


@fault("SIGTERM every 3 s under load", rounds=10, without_pause=True)
def terminated(scene: Scene, load: Load) -> Iterator[None]:
    before = len(scene.pool.exit_codes)
    with load.flowing():
        for _ in range(load.rounds):
            worker = scene.pool.wait_for_one()
            load.mark_injection()
            worker.send_signal(signal.SIGTERM)
            time.sleep(3)
    yield
    wait_for(
        lambda: len(scene.pool.exit_codes) - before >= load.rounds,
        what="terminated workers to exit",
        seconds=60,
    )
    codes = scene.pool.exit_codes[before:]
    assert set(codes) == {0}, f"exit codes {codes} instead of 0"
    crashed = load.count_rows(SubmissionRow.crashes > 0)
    assert not crashed, f"a SIGTERM is no crash, but {crashed} submissions have one"
