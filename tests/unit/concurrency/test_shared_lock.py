"""Many hold the lock in shared mode, or one in exclusive mode, and none starves."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from worker.concurrency.shared_lock import SharedLock

PATIENCE = 30


@pytest.fixture
def lock():
    return SharedLock()


@pytest.fixture
def pool():
    with ThreadPoolExecutor(16) as opened:
        yield opened


class Visit:
    """A thread that holds the lock until it is released."""

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


def wait_until(lock, shared=0, exclusive=0):
    """Wait until that many threads block on the lock; it has no event for it."""
    with lock._changed:
        while (lock._waiting_shared, lock._waiting_exclusive) != (shared, exclusive):
            lock._changed.wait(0.001)


@contextmanager
def inside(*visits):
    for visit in visits:
        assert visit.inside.wait(PATIENCE)
    yield
    for visit in visits:
        visit.leave()


def test_many_hold_it_in_shared_mode(lock, pool):
    with inside(*(Visit(pool, lock.shared) for _ in range(8))):
        pass


def test_exclusive_is_exclusive(lock, pool):
    first = Visit(pool, lock.shared)
    assert first.inside.wait(PATIENCE)
    one, other = Visit(pool, lock.exclusive), Visit(pool, lock.exclusive)
    wait_until(lock, exclusive=2)
    assert not one.inside.is_set()
    assert not other.inside.is_set()
    first.leave()
    wait_until(lock, exclusive=1)
    late = Visit(pool, lock.shared)
    wait_until(lock, shared=1, exclusive=1)
    (now,) = [visit for visit in (one, other) if visit.inside.is_set()]
    now.leave()
    # Waiting shared holders go before the next exclusive one.
    with inside(late):
        wait_until(lock, exclusive=1)
    with inside(other if now is one else one):
        pass


def test_a_waiting_exclusive_holder_goes_first(lock, pool):
    first = Visit(pool, lock.shared)
    assert first.inside.wait(PATIENCE)
    alone = Visit(pool, lock.exclusive)
    wait_until(lock, exclusive=1)
    late = [Visit(pool, lock.shared) for _ in range(3)]
    wait_until(lock, shared=3, exclusive=1)
    assert not any(visit.inside.is_set() for visit in late)
    first.leave()
    with inside(alone):
        assert not any(visit.inside.is_set() for visit in late)
    with inside(*late):
        pass


@pytest.mark.parametrize("door", ["shared", "exclusive"])
def test_a_failure_inside_opens_the_gate_again(lock, door):
    with pytest.raises(KeyError), getattr(lock, door)():
        raise KeyError("the end")
    with lock.exclusive():
        pass
    with lock.shared():
        pass


def test_under_load_every_thread_gets_the_lock_and_exclusive_is_exclusive(lock, pool):
    counts, together, alone = threading.Lock(), 0, 0

    def come(n):
        nonlocal together, alone
        with lock.exclusive() if n % 5 == 0 else lock.shared():
            with counts:
                together, alone = together + (n % 5 != 0), alone + (n % 5 == 0)
                assert alone == 0 or (alone, together) == (1, 0)
            with counts:
                together, alone = together - (n % 5 != 0), alone - (n % 5 == 0)

    for turn in [pool.submit(come, n) for n in range(2000)]:
        turn.result(PATIENCE)
