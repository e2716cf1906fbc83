"""Renders pictures in a separate, small thread pool; equal requests share one rendering."""

import asyncio
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

import anyio

from worker.web.http.problems import ProblemError

#: Views that are queued or being rendered; a page with a group shows thirty.
MOST_WAITING: Final = 96
#: `Retry-After` if the queue is full.
RETRY_SECONDS: Final = 2


Request = TypeVar("Request", bound=Hashable)
Shown = TypeVar("Shown")


class PictureQueue(Generic[Request, Shown]):
    """Limits concurrent renderings, so that they never take the threads that submissions need.

    Belongs to one event loop.
    """

    def __init__(self, show: Callable[[Request], Shown], at_once: int) -> None:
        self._show = show
        # Separate from Starlette's forty threads, which serve everything else.
        self._threads = anyio.CapacityLimiter(at_once)
        self._in_flight: dict[Request, asyncio.Task[Shown]] = {}

    async def show(self, request: Request) -> Shown:
        """Return the picture; ProblemError if the queue is full, or the error of the rendering."""
        task = self._in_flight.get(request)
        if task is None:
            if len(self._in_flight) >= MOST_WAITING:
                raise ProblemError(
                    503,
                    "the desk is busy with other pictures: load it again in a moment",
                    Retry_After=str(RETRY_SECONDS),
                )
            task = asyncio.create_task(anyio.to_thread.run_sync(self._show, request, limiter=self._threads))
            self._in_flight[request] = task
            task.add_done_callback(lambda done: self._forget(request, done))
        # A browser that disconnects must not cancel a rendering that others wait for.
        return await asyncio.shield(task)

    def _forget(self, request: Request, done: asyncio.Task[Shown]) -> None:
        self._in_flight.pop(request, None)
        if not done.cancelled():
            # If all browsers disconnected, nothing else retrieves the exception.
            done.exception()
