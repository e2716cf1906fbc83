"""Check before publish: `Prefer: wait=SECONDS` (RFC 7240) holds the answer back until there is a decision."""

import asyncio
import re
import time
from collections.abc import Iterable
from typing import Final

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from worker.usecases.submissions.find_submission import FindSubmission

_WAIT: Final = re.compile(r'wait\s*=\s*"?([0-9]{1,6})"?\s*(?:;.*)?', re.IGNORECASE)
#: A decision takes a tenth of a second on a good day; later it is asked for less and less often.
_FIRST_PAUSE_SECONDS: Final = 0.05
_LAST_PAUSE_SECONDS: Final = 1.0
_GROWTH: Final = 1.4


def wished_seconds(headers: Iterable[str]) -> int | None:
    """Return how long the client prefers to wait; None where it does not say so."""
    for header in headers:
        for preference in header.split(","):
            if found := _WAIT.fullmatch(preference.strip()):
                return int(found[1])
    return None


class WaitingRoom:
    """Lets so many requests wait and no more; lives in one event loop."""

    def __init__(self, find: FindSubmission, max_seconds: float, seats: int) -> None:
        self._find = find
        self._max_seconds = max_seconds
        self._free = seats

    async def wait(self, request: Request, submission_id: str, seconds: float) -> bool:
        """Wait until a submission has its outcome, the time is over, or the client has left.

        Return False where there was no seat, and nobody waited.
        """
        if self._free == 0:
            return False
        self._free -= 1
        try:
            await self._look(request, submission_id, time.monotonic() + min(seconds, self._max_seconds))
        finally:
            self._free += 1
        return True

    async def _look(self, request: Request, submission_id: str, deadline: float) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while await run_in_threadpool(self._find.is_open, submission_id):
            left = deadline - time.monotonic()
            if left <= 0 or await request.is_disconnected():
                return
            await asyncio.sleep(min(pause, left))
            pause = min(pause * _GROWTH, _LAST_PAUSE_SECONDS)
