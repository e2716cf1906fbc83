"""Ends a worker process that stays stuck, so that its supervisor starts another one.

Docker Compose restarts no container for its health. What the process has claimed is judged again.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final, NoReturn

from worker.concurrency.periodic import run_periodically
from worker.observability.probes import Verdict

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 10.0
#: Time for the jobs that are not stuck to end.
GRACE_SECONDS: Final = 60.0
EXIT_CODE: Final = 1


def leave() -> None:
    """Stop as SIGTERM does, which waits for every job; then stop without those that never end."""
    os.kill(os.getpid(), signal.SIGTERM)
    timer = threading.Timer(GRACE_SECONDS, _leave_at_once)
    timer.daemon = True
    timer.start()


def _leave_at_once() -> NoReturn:
    logging.shutdown()
    os._exit(EXIT_CODE)


class LeaveWhenStuck:
    """Call it now and again; it leaves once the process has been stuck for `seconds` on end.

    A process that is not ready waits for its database or its broker, and is not stuck.
    """

    def __init__(
        self,
        health: Callable[[], Verdict],
        readiness: Callable[[], Verdict],
        seconds: float,
        leave: Callable[[], None] = leave,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._health, self._readiness, self._seconds = health, readiness, seconds
        self._leave, self._clock = leave, clock
        self._stuck_since: float | None = None
        self._is_leaving = False

    def __call__(self) -> None:
        """Look once."""
        well, said = self._health()
        if self._is_leaving or well or not self._readiness()[0]:
            self._stuck_since = None
            return
        now = self._clock()
        if self._stuck_since is None:
            self._stuck_since = now
        elif now - self._stuck_since >= self._seconds:
            self._is_leaving = True
            log.critical(
                "this worker leaves, since it has been stuck for %.0f s: %s; let a supervisor start it again",
                now - self._stuck_since,
                said.get("reason", ""),
            )
            self._leave()

    def looking(self) -> AbstractContextManager[None]:
        """Look now and again while the context lasts."""
        return run_periodically(self, LOOK_SECONDS, name="looking whether this worker is stuck")
