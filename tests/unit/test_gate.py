"""Many pass the gate together, or one alone, and nobody waits for ever."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from worker.concurrency.shared_lock import Gate

PATIENCE = 30


@pytest.fixture
def gate():
    return Gate()


@pytest.fixture
def pool():
    with ThreadPoolExecutor(16) as opened:
        yield opened


class Visit:
    """Somebody who goes in when they can, and out when they are told."""

    def __init__(self, pool, door):
        self.inside, self._out = threading.Event(), threading.Event()
        self._stay = pool.submit(self._visit, door)

    def _visit(self, door):
        with door():
            self.inside.set()
            assert self._out.wait(PATIENCE)

    def leave(self):
        self._out.set()
        self._stay.result(PATIENCE)


def wait_until(gate, together=0, alone=0):
    """Wait until so many wait before the gate; nothing else tells that a thread stands there."""
    with gate._changed:
        while (gate._to_be_together, gate._to_be_alone) != (together, alone):
            gate._changed.wait(0.001)


@contextmanager
def inside(*visits):
    for visit in visits:
        assert visit.inside.wait(PATIENCE)
    yield
    for visit in visits:
        visit.leave()


def test_many_are_inside_together(gate, pool):
    with inside(*(Visit(pool, gate.together) for _ in range(8))):
        pass


def test_alone_is_alone(gate, pool):
    first = Visit(pool, gate.together)
    assert first.inside.wait(PATIENCE)
    one, other = Visit(pool, gate.alone), Visit(pool, gate.alone)
    wait_until(gate, alone=2)
    assert not one.inside.is_set()
    assert not other.inside.is_set()
    first.leave()
    wait_until(gate, alone=1)
    late = Visit(pool, gate.together)
    wait_until(gate, together=1, alone=1)
    (now,) = [visit for visit in (one, other) if visit.inside.is_set()]
    now.leave()
    # Whoever waited together goes before the next who wants to be alone.
    with inside(late):
        wait_until(gate, alone=1)
    with inside(other if now is one else one):
        pass


def test_who_waits_to_be_alone_goes_before_newcomers(gate, pool):
    first = Visit(pool, gate.together)
    assert first.inside.wait(PATIENCE)
    alone = Visit(pool, gate.alone)
    wait_until(gate, alone=1)
    late = [Visit(pool, gate.together) for _ in range(3)]
    wait_until(gate, together=3, alone=1)
    assert not any(visit.inside.is_set() for visit in late)
    first.leave()
    with inside(alone):
        assert not any(visit.inside.is_set() for visit in late)
    with inside(*late):
        pass


@pytest.mark.parametrize("door", ["together", "alone"])
def test_a_failure_inside_opens_the_gate_again(gate, door):
    with pytest.raises(KeyError), getattr(gate, door)():
        raise KeyError("the end")
    with gate.alone():
        pass
    with gate.together():
        pass


def test_however_many_come_and_go_each_has_its_turn_and_alone_is_alone(gate, pool):
    lock, together, alone = threading.Lock(), 0, 0

    def come(n):
        nonlocal together, alone
        with gate.alone() if n % 5 == 0 else gate.together():
            with lock:
                together, alone = together + (n % 5 != 0), alone + (n % 5 == 0)
                assert alone == 0 or (alone, together) == (1, 0)
            with lock:
                together, alone = together - (n % 5 != 0), alone - (n % 5 == 0)

    for turn in [pool.submit(come, n) for n in range(2000)]:
        turn.result(PATIENCE)
