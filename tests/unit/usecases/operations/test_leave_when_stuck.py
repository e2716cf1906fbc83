"""A worker that stays stuck leaves; one that waits for its database or its broker stays."""

import logging

import pytest

from worker.usecases.operations.leave_when_stuck import LeaveWhenStuck

WELL, STUCK = (True, {}), (False, {"reason": "submission upload-7 has been in hand for 400 s"})


class Process:
    """A process whose health and readiness a test sets, under a clock that it moves."""

    def __init__(self):
        self.health, self.ready, self.now, self.left = WELL, True, 0.0, 0
        self.look = LeaveWhenStuck(
            lambda: self.health, lambda: (self.ready, {}), 180, self.leave, lambda: self.now
        )

    def leave(self):
        self.left += 1

    def after(self, seconds):
        self.now += seconds
        self.look()
        return self.left


@pytest.fixture
def process():
    return Process()


def test_it_leaves_once_it_has_been_stuck_for_so_long(process, caplog):
    process.health = STUCK
    assert [process.after(seconds) for seconds in (10, 100, 79, 1, 10, 500)] == [0, 0, 0, 1, 1, 1]
    (line,) = (record for record in caplog.records if record.levelno == logging.CRITICAL)
    assert "stuck for 180 s: submission upload-7 has been in hand for 400 s" in line.message


def test_time_counts_from_when_it_was_last_well(process):
    process.health = STUCK
    assert process.after(10) + process.after(170) == 0
    process.health = WELL
    assert process.after(10) == 0
    process.health = STUCK
    assert [process.after(seconds) for seconds in (10, 179, 1)] == [0, 0, 1]


def test_it_waits_for_a_database_or_broker_that_is_away(process):
    process.health, process.ready = STUCK, False
    assert [process.after(600) for _ in range(3)] == [0, 0, 0]
    process.ready = True
    assert [process.after(seconds) for seconds in (600, 180)] == [0, 1]
