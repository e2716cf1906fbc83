"""Faults of worker processes: killed at every moment, and told to go."""

import random
import signal
import time
from collections.abc import Iterator

from faults.callbacks import platform, require_that_all_is_heard, wait_until_told
from faults.fault import Infliction, fault
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
                scene.crew.wait_until_ready()
                time.sleep(dice.uniform(0.2, 2.0))
                load.strike()
                dice.choice(scene.crew.ready).strike(signal.SIGKILL)
        yield
        wait_until_told(load)
        require_that_all_is_heard(load, receiver)
    quarantined = load.count_rows(SubmissionRow.crashes >= 3)
    if quarantined:
        load.notes.append(f"{quarantined} innocent pictures were in hand in three crashes: quarantined")


def _killed_at(moment: str) -> Infliction:
    def inflict(scene: Scene, load: Load) -> Iterator[None]:
        load.accept(NEIGHBOURS)
        load.strike()
        (victim,) = load.accept(1, f"{moment}-1")
        load.accept(NEIGHBOURS)
        yield
        assert (scene.crew.notes / f"{victim}.0").exists(), "no worker died: the fault shows nothing"

    return inflict


fault("worker killed right after the claim", rounds=3)(_killed_at("die-judging"))
fault("worker killed before the commit", rounds=3)(_killed_at("die-before-commit"))
fault("worker killed between commit and acknowledgement", rounds=3)(_killed_at("die-after-commit"))


@fault("idle workers killed, then a submission at once", rounds=5, without_pause=True)
def idle_killed(scene: Scene, load: Load) -> Iterator[None]:
    for _ in range(load.rounds):
        idle = scene.crew.wait_until_ready()
        time.sleep(1)
        load.strike()
        for worker in idle:
            worker.strike(signal.SIGKILL)
        load.send(2)
        load.accept(1)
        load.accept(1)
    yield


@fault("SIGTERM every 3 s under load", rounds=10, without_pause=True)
def told_to_go(scene: Scene, load: Load) -> Iterator[None]:
    told = len(scene.crew.exit_codes)
    with load.flowing():
        for _ in range(load.rounds):
            worker = scene.crew.wait_for_one()
            load.strike()
            worker.strike(signal.SIGTERM)
            time.sleep(3)
    yield
    wait_for(
        lambda: len(scene.crew.exit_codes) - told >= load.rounds, what="those told to go, to go", seconds=60
    )
    codes = scene.crew.exit_codes[told:]
    assert set(codes) == {0}, f"exit codes {codes} instead of 0"
    crashed = load.count_rows(SubmissionRow.crashes > 0)
    assert not crashed, f"a SIGTERM is no crash, but {crashed} submissions have one"
