"""Checks that a worker makes progress, not only that it is alive."""

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

from moderation_client.queue_depth import QueueDepth

from worker.concurrency.periodic import run_periodically
from worker.observability.probes import Verdict
from worker.observability.progress import Progress, ProgressSnapshot

LOOK_SECONDS: Final = 10.0
#: An idle worker takes a message within milliseconds; after this long it has lost its connection.
IDLE_SECONDS: Final = 60.0


class CheckProgress:
    """Health check: well while jobs end or there is nothing to do.

    `depth` returns the queue's depth, or None if the broker does not answer: then an idle worker is well.
    """

    def __init__(
        self,
        progress: Progress,
        depth: Callable[[], QueueDepth | None],
        stuck_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._progress, self._depth, self._stuck_seconds = progress, depth, stuck_seconds
        self._clock = clock
        self._lock = threading.Lock()
        #: Since when messages wait although this worker is idle, and how many jobs it had begun by then.
        self._idle_since: float | None = None
        self._begun = 0
        self._waiting = 0

    def look(self) -> None:
        """Record whether messages wait although this worker is idle."""
        depth = self._depth()
        progress = self._progress.snapshot()
        with self._lock:
            self._waiting = depth.waiting if depth else 0
            if not self._waiting or progress.in_flight or progress.begun != self._begun:
                self._idle_since, self._begun = None, progress.begun
            elif self._idle_since is None:
                self._idle_since = self._clock()

    def checking(self) -> AbstractContextManager[None]:
        """Look periodically while the context lasts."""
        return run_periodically(self.look, LOOK_SECONDS, name="checking whether the queue moves")

    def __call__(self) -> Verdict:
        """Return the verdict and the figures behind it."""
        progress = self._progress.snapshot()
        reason = self._reason(progress)
        details = {
            "status": "stuck" if reason else "working" if progress.in_flight else "idle",
            "jobs_in_hand": progress.in_flight,
            "oldest_job_seconds": round(progress.oldest_seconds, 1),
            "jobs_ended": progress.ended,
            "seconds_since_a_job_began_or_ended": round(progress.quiet_seconds, 1),
        }
        return not reason, details | ({"reason": reason} if reason else {})

    def _reason(self, progress: ProgressSnapshot) -> str:
        if progress.oldest_seconds > self._stuck_seconds:
            return (
                f"submission {progress.oldest} has been in flight for {progress.oldest_seconds:.0f} s, "
                f"longer than MODERATION_STUCK_SECONDS={self._stuck_seconds:g}"
            )
        with self._lock:
            since, waiting = self._idle_since, self._waiting
            idle = since is not None and not progress.in_flight and progress.begun == self._begun
        if idle and since is not None and self._clock() - since >= IDLE_SECONDS:
            return (
                f"{waiting} messages are on the queue, and this idle worker "
                f"has taken none for {self._clock() - since:.0f} s"
            )
        return ""
