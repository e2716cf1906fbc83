"""Exits a worker process that stays stuck, so that its supervisor starts another one.

Docker Compose does not restart unhealthy containers. The submissions that it had claimed are judged again.
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
#: Time for jobs that are not stuck to finish.
GRACE_SECONDS: Final = 60.0
EXIT_CODE: Final = 1


def leave() -> None:
    """Shut down as on SIGTERM, which waits for every job; after GRACE_SECONDS exit without waiting."""
    os.kill(os.getpid(), signal.SIGTERM)
    timer = threading.Timer(GRACE_SECONDS, _exit_at_once)
    timer.daemon = True
    timer.start()


def _exit_at_once() -> NoReturn:
    logging.shutdown()
    os._exit(EXIT_CODE)


class LeaveWhenStuck:
    """Call it periodically; it shuts the process down once that has been stuck for `seconds` without a break.

    A process that is not ready waits for its database or its broker, and does not count as stuck.
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
        """Check once."""
        well, details = self._health()
        if self._is_leaving or well or not self._readiness()[0]:
            self._stuck_since = None
            return
        now = self._clock()
        if self._stuck_since is None:
            self._stuck_since = now
        elif now - self._stuck_since >= self._seconds:
            self._is_leaving = True
            log.critical(
                "this worker exits, since it has been stuck for %.0f s: %s; let a supervisor restart it",
                now - self._stuck_since,
                details.get("reason", ""),
            )
            self._leave()

    def checking(self) -> AbstractContextManager[None]:
        """Check periodically while the context lasts."""
        return run_periodically(self, LOOK_SECONDS, name="checking whether this worker is stuck")
