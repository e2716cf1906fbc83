"""Renders pictures in a separate, small thread pool; equal requests share one rendering."""

import asyncio
from collections.abc import Callable
from typing import Final

import anyio

from worker.usecases.reviews.show_picture import PictureRequest, ShownPicture
from worker.web.http.problems import ProblemError

#: Views that are queued or being rendered; a page with a group shows thirty.
MOST_WAITING: Final = 96
#: `Retry-After` if the queue is full.
RETRY_SECONDS: Final = 2


class PictureQueue:
    """Limits concurrent renderings, so that they never take the threads that submissions need.

    Belongs to one event loop.
    """

    def __init__(self, show: Callable[[PictureRequest], ShownPicture], at_once: int) -> None:
        self._show = show
        # Separate from Starlette's forty threads, which serve everything else.
        self._threads = anyio.CapacityLimiter(at_once)
        self._in_flight: dict[PictureRequest, asyncio.Task[ShownPicture]] = {}

    async def show(self, request: PictureRequest) -> ShownPicture:
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

    def _forget(self, request: PictureRequest, done: asyncio.Task[ShownPicture]) -> None:
        self._in_flight.pop(request, None)
        if not done.cancelled():
            # If all browsers disconnected, nothing else retrieves the exception.
            done.exception()
