"""Batches concurrent calls: items that arrive while one call runs form the next batch."""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from threading import Condition, Thread
from typing import Generic, TypeVar

from worker.errors import TransactionGivenUpError, UnavailableError

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Call(Generic[Item, Result]):
    """One item, and the future that its caller waits for."""

    def __init__(self, item: Item) -> None:
        self.item = item
        self.outcome: Future[Result] = Future()


class Batcher(Generic[Item, Result]):
    """Calls `work` with batches of at most `most` items, in background threads.

    There is no timer: an idle thread starts at once, even with a single item, and the items that arrive while
    it runs form the next batch. Every caller blocks, so the queue is never longer than the number of callers.

    `work` returns a result for each item, in order. If it raises, the batch is split (see `in_halves`),
    so that a failure reaches only the caller whose item caused it.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Sequence[Result]],
        *,
        most: int,
        threads: int = 1,
        name: str,
    ) -> None:
        """Start the threads. Errors call the work by its `name`."""
        self._work = work
        self._most = most
        self._name = name
        self._queue: deque[_Call[Item, Result]] = deque()
        self._changed = Condition()
        self._closed = False
        self._threads = [Thread(target=self._run, name=name, daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def __call__(self, items: Sequence[Item]) -> list[Result]:
        """Return the result of each item, in order; raise the error of the first item that failed.

        UnavailableError once closed.
        """
        return [call.outcome.result() for call in self._enqueue(items)]

    def outcomes(self, items: Sequence[Item]) -> list[Result | BaseException]:
        """Return the result or the error of each item, in order.

        UnavailableError once closed.
        """
        return [call.outcome.exception() or call.outcome.result() for call in self._enqueue(items)]

    def _enqueue(self, items: Sequence[Item]) -> list[_Call[Item, Result]]:
        calls: list[_Call[Item, Result]] = [_Call(item) for item in items]
        with self._changed:
            if self._closed:
                raise self._closed_error()
            self._queue.extend(calls)
            self._changed.notify(len(calls))
        return calls

    def close(self) -> None:
        """Finish the running batches and fail the queued calls; idempotent."""
        with self._changed:
            self._closed = True
            abandoned = list(self._queue)
            self._queue.clear()
            self._changed.notify_all()
        for call in abandoned:
            call.outcome.set_exception(self._closed_error())
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while calls := self._next_batch():
            self._process(calls)

    def _next_batch(self) -> list[_Call[Item, Result]]:
        """Wait for the next batch; empty once closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed)
            return [self._queue.popleft() for _ in range(min(self._most, len(self._queue)))]

    def _process(self, calls: Sequence[_Call[Item, Result]]) -> None:
        outcomes = in_halves(self._work, [call.item for call in calls], self._name)
        for call, outcome in zip(calls, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                call.outcome.set_exception(outcome)
            else:
                call.outcome.set_result(outcome)

    def _closed_error(self) -> UnavailableError:
        return UnavailableError(f"{self._name} is being shut down", hint="try again with another worker")


def in_halves(
    work: Callable[[Sequence[Item]], Sequence[Result]], items: Sequence[Item], name: str
) -> list[Result | BaseException]:
    """Return the result or the error of each item, in order; if `work` raises, retry the batch in halves.

    UnavailableError fails the whole batch; an aborted transaction is retried in halves.
    """
    try:
        done = list(work(items))
        if len(done) != len(items):
            raise ValueError(f"{name}: {len(done)} results for {len(items)} items")  # noqa: TRY301 - as any failure
    except BaseException as problem:  # noqa: BLE001 - each caller gets its own error
        if len(items) <= 1 or _fails_all(problem):
            return [problem for _ in items]
        log.warning(
            "%s: a batch of %d failed and is retried in halves: %s", name, len(items), in_a_line(problem)
        )
        middle = len(items) // 2
        return in_halves(work, items[:middle], name) + in_halves(work, items[middle:], name)
    return [*done]


def in_a_line(problem: BaseException) -> str:
    """Return the error without the statement and the values that a database error appends."""
    return f"{type(problem).__name__}: {str(problem).partition(chr(10))[0]}"


def _fails_all(problem: BaseException) -> bool:
    return isinstance(problem, UnavailableError) and not isinstance(problem, TransactionGivenUpError)
