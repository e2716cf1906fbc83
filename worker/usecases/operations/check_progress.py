"""Whether a worker gets on with its work, not just whether it lives."""

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

from worker.concurrency.periodic import repeated
from worker.domain.operations.queue_depth import QueueDepth
from worker.observability.probes import Verdict
from worker.observability.progress import Progress, Standing

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
        standing = self._progress.standing()
        with self._lock:
            self._waiting = depth.waiting if depth else 0
            if not self._waiting or standing.in_hand or standing.begun != self._begun:
                self._passing_since, self._begun = None, standing.begun
            elif self._passing_since is None:
                self._passing_since = self._clock()

    def looking(self) -> AbstractContextManager[None]:
        """Look now and again while the context lasts."""
        return repeated(self.look, LOOK_SECONDS, name="looking whether the queue moves")

    def __call__(self) -> Verdict:
        """Return the verdict, and what it rests on."""
        standing = self._progress.standing()
        reason = self._reason(standing)
        said = {
            "status": "stuck" if reason else "working" if standing.in_hand else "idle",
            "jobs_in_hand": standing.in_hand,
            "oldest_job_seconds": round(standing.oldest_seconds, 1),
            "jobs_ended": standing.ended,
            "seconds_since_a_job_began_or_ended": round(standing.quiet_seconds, 1),
        }
        return not reason, said | ({"reason": reason} if reason else {})

    def _reason(self, standing: Standing) -> str:
        if standing.oldest_seconds > self._stuck_seconds:
            return (
                f"submission {standing.oldest} has been in hand for {standing.oldest_seconds:.0f} s, "
                f"longer than MODERATION_STUCK_SECONDS={self._stuck_seconds:g}"
            )
        with self._lock:
            since, waiting = self._passing_since, self._waiting
            idle = since is not None and not standing.in_hand and standing.begun == self._begun
        if idle and since is not None and self._clock() - since >= IDLE_SECONDS:
            return (
                f"{waiting} messages are on the queue, and this idle worker "
                f"has taken none for {self._clock() - since:.0f} s"
            )
        return ""
