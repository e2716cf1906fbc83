"""Makes pictures beside the threads of all other requests: a few at once, and equal views only once."""

import asyncio
from collections.abc import Callable
from typing import Final

import anyio

from worker.usecases.reviews.show_picture import PictureRequest, ShownPicture
from worker.web.http.problems import ProblemError

#: Views that wait or are being made; a page with a group shows thirty.
MOST_WAITING: Final = 96
#: When to ask again for a picture that found no room.
RETRY_SECONDS: Final = 2


class PictureQueue:
    """Bounds the work for pictures, so that it never takes the threads that intake needs.

    Lives in one event loop.
    """

    def __init__(self, show: Callable[[PictureRequest], ShownPicture], at_once: int) -> None:
        self._show = show
        # Of its own: Starlette's forty threads serve everything else.
        self._threads = anyio.CapacityLimiter(at_once)
        self._being_made: dict[PictureRequest, asyncio.Task[ShownPicture]] = {}

    async def show(self, request: PictureRequest) -> ShownPicture:
        """Return the picture; ProblemError if too many are waiting, or whatever prevents it."""
        task = self._being_made.get(request)
        if task is None:
            if len(self._being_made) >= MOST_WAITING:
                raise ProblemError(
                    503,
                    "the desk is busy with other pictures: load it again in a moment",
                    Retry_After=str(RETRY_SECONDS),
                )
            task = asyncio.create_task(anyio.to_thread.run_sync(self._show, request, limiter=self._threads))
            self._being_made[request] = task
            task.add_done_callback(lambda done: self._forget(request, done))
        # A browser that leaves must not cancel the work that others wait for.
        return await asyncio.shield(task)

    def _forget(self, request: PictureRequest, done: asyncio.Task[ShownPicture]) -> None:
        self._being_made.pop(request, None)
        if not done.cancelled():
            # If all browsers left, the exception has no other reader.
            done.exception()
