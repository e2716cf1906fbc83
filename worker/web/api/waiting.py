"""Waits for a decision before answering, if `Prefer: wait=SECONDS` (RFC 7240) asks for it."""

import asyncio
import re
import time
from collections.abc import Iterable
from typing import Final

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from worker.usecases.submissions.find_submission import FindSubmission

_WAIT: Final = re.compile(r'wait\s*=\s*"?([0-9]{1,6})"?\s*(?:;.*)?', re.IGNORECASE)
#: A decision usually takes a tenth of a second; the polling interval grows from there.
_FIRST_PAUSE_SECONDS: Final = 0.05
_LAST_PAUSE_SECONDS: Final = 1.0
_GROWTH: Final = 1.4


def preferred_wait_seconds(headers: Iterable[str]) -> int | None:
    """Return how long the client prefers to wait; None if it does not say."""
    for header in headers:
        for preference in header.split(","):
            if found := _WAIT.fullmatch(preference.strip()):
                return int(found[1])
    return None


class WaitingRoom:
    """Limits how many requests wait at the same time; belongs to one event loop."""

    def __init__(self, find: FindSubmission, max_seconds: float, max_waiting: int) -> None:
        self._find = find
        self._max_seconds = max_seconds
        self._free = max_waiting

    async def wait(self, request: Request, submission_id: str, seconds: float) -> bool:
        """Wait until a submission is decided or refused, the time has passed, or the client has disconnected.

        Return False without waiting if all places are taken.
        """
        if self._free == 0:
            return False
        self._free -= 1
        try:
            await self._poll(request, submission_id, time.monotonic() + min(seconds, self._max_seconds))
        finally:
            self._free += 1
        return True

    async def _poll(self, request: Request, submission_id: str, deadline: float) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while await run_in_threadpool(self._find.is_open, submission_id):
            left = deadline - time.monotonic()
            if left <= 0 or await request.is_disconnected():
                return
            await asyncio.sleep(min(pause, left))
            pause = min(pause * _GROWTH, _LAST_PAUSE_SECONDS)
