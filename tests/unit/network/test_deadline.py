"""One end for everything, by a clock of the test's own."""

import threading

import pytest

from worker.concurrency.deadline import Deadline


def test_what_is_left_shrinks_and_then_there_is_nothing():
    now = [100.0]
    deadline = Deadline(5, clock=lambda: now[0])
    assert deadline.remaining() == 5
    now[0] = 104.5
    assert deadline.remaining() == 0.5
    now[0] = 105.0
    with pytest.raises(TimeoutError, match="not done within 5 seconds"):
        deadline.remaining()


def test_work_returns_its_result_or_its_error():
    assert Deadline(60).await_result(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        Deadline(60).await_result(lambda: 1 // 0)


def test_work_that_hangs_is_left_behind():
    hanging = threading.Event()
    with pytest.raises(TimeoutError):
        Deadline(0.01).await_result(hanging.wait)
    hanging.set()
