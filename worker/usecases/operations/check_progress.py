"""Whether a worker gets on with its work, not just whether it lives."""

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
#: An idle worker takes what is on the queue within milliseconds; one that does not for so long has lost it.
IDLE_SECONDS: Final = 60.0


class CheckProgress:
    """Call it for the verdict: 200 while jobs end or there is nothing to do.

    `depth` returns what the broker has, None where it does not answer: an idle worker can do nothing then.
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
        #: Since when messages wait while this worker has nothing in hand, and how many it had begun by then.
        self._passing_since: float | None = None
        self._begun = 0
        self._waiting = 0

    def look(self) -> None:
        """Note whether messages wait that an idle worker does not take."""
        depth = self._depth()
        progress = self._progress.snapshot()
        with self._lock:
            self._waiting = depth.waiting if depth else 0
            if not self._waiting or progress.in_flight or progress.begun != self._begun:
                self._passing_since, self._begun = None, progress.begun
            elif self._passing_since is None:
                self._passing_since = self._clock()

    def looking(self) -> AbstractContextManager[None]:
        """Look now and again while the context lasts."""
        return run_periodically(self.look, LOOK_SECONDS, name="looking whether the queue moves")

    def __call__(self) -> Verdict:
        """Return the verdict, and what it rests on."""
        progress = self._progress.snapshot()
        reason = self._reason(progress)
        said = {
            "status": "stuck" if reason else "working" if progress.in_flight else "idle",
            "jobs_in_hand": progress.in_flight,
            "oldest_job_seconds": round(progress.oldest_seconds, 1),
            "jobs_ended": progress.ended,
            "seconds_since_a_job_began_or_ended": round(progress.quiet_seconds, 1),
        }
        return not reason, said | ({"reason": reason} if reason else {})

    def _reason(self, progress: ProgressSnapshot) -> str:
        if progress.oldest_seconds > self._stuck_seconds:
            return (
                f"submission {progress.oldest} has been in hand for {progress.oldest_seconds:.0f} s, "
                f"longer than MODERATION_STUCK_SECONDS={self._stuck_seconds:g}"
            )
        with self._lock:
            since, waiting = self._passing_since, self._waiting
            idle = since is not None and not progress.in_flight and progress.begun == self._begun
        if idle and since is not None and self._clock() - since >= IDLE_SECONDS:
            return (
                f"{waiting} messages are on the queue, and this idle worker "
                f"has taken none for {self._clock() - since:.0f} s"
            )
        return ""
