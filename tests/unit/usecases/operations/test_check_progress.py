"""The verdict of /healthz over time: a clock that is set, a queue that is said."""

import pytest
from moderation_client.queue_depth import QueueDepth

from worker.observability.progress import Progress
from worker.usecases.operations.check_progress import CheckProgress


class Worker:
    """A worker whose clock and queue the test sets."""

    def __init__(self):
        self.now, self.depth = 0.0, QueueDepth(0, 0)
        self.progress = Progress(clock=lambda: self.now)
        self.check = CheckProgress(self.progress, lambda: self.depth, 180.0, clock=lambda: self.now)

    def pass_time(self, seconds):
        """Let time pass, with a look every ten seconds."""
        for _ in range(int(seconds) // 10):
            self.now += 10
            self.check.look()


@pytest.fixture
def worker():
    return Worker()


def test_nothing_to_do_is_well_however_long(worker):
    worker.pass_time(10_000)
    well, said = worker.check()
    assert well
    assert (said["status"], said["seconds_since_a_job_began_or_ended"]) == ("idle", 10_000)


def test_a_job_that_does_not_end_is_named(worker):
    with worker.progress.job("upload-7"):
        worker.pass_time(180)
        assert worker.check()[1]["status"] == "working"
        worker.pass_time(10)
        well, said = worker.check()
        assert not well
        assert said["reason"] == (
            "submission upload-7 has been in flight for 190 s, longer than MODERATION_STUCK_SECONDS=180"
        )
    well, said = worker.check()
    assert well
    assert (said["jobs_in_hand"], said["jobs_ended"]) == (0, 1)


def test_an_idle_worker_that_takes_nothing_from_a_full_queue_is_stuck(worker):
    worker.depth = QueueDepth(5, 0)
    worker.pass_time(60)
    assert worker.check()[0]
    worker.pass_time(10)
    well, said = worker.check()
    assert not well
    assert said["reason"] == "5 messages are on the queue, and this idle worker has taken none for 60 s"
    with worker.progress.job("upload-8"):
        assert worker.check()[0]
    assert worker.check()[0]


def test_a_queue_that_was_empty_meanwhile_or_cannot_be_asked_is_no_reproach(worker):
    for between in (QueueDepth(0, 0), None):
        worker.depth = QueueDepth(5, 0)
        worker.pass_time(60)
        worker.depth = between
        worker.pass_time(10)
        worker.depth = QueueDepth(5, 0)
        worker.pass_time(60)
        assert worker.check()[0]


def test_a_worker_that_took_something_between_two_looks_is_well(worker):
    worker.depth = QueueDepth(5, 0)
    for _ in range(20):
        worker.pass_time(10)
        with worker.progress.job("upload-9"):
            pass
        assert worker.check()[0]


def test_the_oldest_of_many_counts(worker):
    with worker.progress.job("first"):
        worker.now = 5.0
        with worker.progress.job("second"):
            worker.now = 7.0
            standing = worker.progress.snapshot()
    assert (standing.in_flight, standing.oldest, standing.oldest_seconds) == (2, "first", 7.0)
    assert worker.progress.snapshot().in_flight == 0
