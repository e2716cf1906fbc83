"""Many work together or one alone, and whoever must be alone gets its turn."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event, Lock

import pytest

from worker.isolation import Isolation

pytestmark = pytest.mark.timeout(20)


def test_those_that_work_together_do_not_wait_for_each_other():
    isolation, all_inside = Isolation(), Barrier(4)

    def work():
        with isolation.together():
            all_inside.wait(10)

    with ThreadPoolExecutor(4) as pool:
        for one in [pool.submit(work) for _ in range(4)]:
            one.result()


def test_nobody_is_beside_the_one_that_works_alone():
    isolation, lock, inside, beside = Isolation(), Lock(), 0, []

    def work(alone):
        nonlocal inside
        with isolation.alone() if alone else isolation.together():
            with lock:
                inside += 1
            if alone:
                beside.append(inside)
            with lock:
                inside -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, [n % 5 == 0 for n in range(500)]))
    assert beside == [1] * 100


def test_who_waits_to_be_alone_goes_before_those_who_come_later():
    isolation, begun, go_on, order = Isolation(), Event(), Event(), []

    def first():
        with isolation.together():
            begun.set()
            go_on.wait(10)
            order.append("first")

    def alone():
        with isolation.alone():
            order.append("alone")

    def later():
        with isolation.together():
            order.append("later")

    with ThreadPoolExecutor(3) as pool:
        pool.submit(first)
        begun.wait(10)
        pool.submit(alone)
        while not isolation._want_to_be_alone:
            pass
        pool.submit(later)
        go_on.set()
    assert order == ["first", "alone", "later"]


def test_a_failure_lets_the_others_in():
    isolation = Isolation()
    for door in (isolation.together, isolation.alone):
        with pytest.raises(ZeroDivisionError), door():
            raise ZeroDivisionError
    with isolation.alone():
        pass
